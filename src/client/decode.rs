//! The body of a reply as the text that it is: without compression, in UTF-8, without a byte order mark.

use std::borrow::Cow;
use std::io::{self, Read};

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::reply::BodyEnd;

/// How a body is written, as its headers say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written<'a> {
    /// `Content-Encoding`.
    pub encoding: Option<&'a str>,
    /// `charset` of the `Content-Type`.
    pub charset: Option<&'a str>,
}

/// A body as text in UTF-8, and as it was sent, where that is another.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Body {
    pub text: Vec<u8>,
    pub as_sent: Option<Vec<u8>>,
}

impl Body {
    /// The text of a decompressed body.
    fn of(plain: Vec<u8>, charset: Option<&str>) -> Self {
        match in_utf8(&plain, charset) {
            Cow::Borrowed(same) if same.len() == plain.len() => Self { text: plain, as_sent: None },
            text => Self { text: text.into_owned(), as_sent: Some(plain) },
        }
    }
}

/// The body without compression, of at most `cap` bytes before the charset is changed, and how its reading ended. Nothing
/// that was not whole is decompressed.
pub(super) fn decode(body: Vec<u8>, end: BodyEnd, written: Written, cap: u64) -> (Body, BodyEnd) {
    if body.is_empty() {
        return (Body::default(), end);
    }
    let encodings = written.encoding.unwrap_or_default().split(',').map(str::trim);
    let encodings = encodings.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
    let mut body = body;
    // The last one that is named was applied last (RFC 9110 §8.4).
    for encoding in encodings.rev() {
        if end != BodyEnd::Whole {
            return (Body::default(), end);
        }
        body = match decompressed(&body, &encoding.to_ascii_lowercase(), cap) {
            Ok(Some(plain)) if plain.len() as u64 > cap => return (Body::default(), BodyEnd::OverCap(cap)),
            Ok(Some(plain)) => plain,
            Ok(None) => {
                let why = format!("its content encoding {encoding:?}, which was not asked for, is not known");
                return (Body::default(), BodyEnd::Unreadable(why));
            }
            Err(error) => {
                let why = format!("its content encoding {encoding:?} cannot be read: {error}");
                return (Body::default(), BodyEnd::Unreadable(why));
            }
        };
    }
    (Body::of(body, written.charset), end)
}

/// One more byte than `cap` is read of what is longer; `None` for an encoding that is not known.
fn decompressed(body: &[u8], encoding: &str, cap: u64) -> io::Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    let limit = cap.saturating_add(1);
    match encoding {
        "gzip" | "x-gzip" => MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain)?,
        "deflate" if is_zlib(body) => ZlibDecoder::new(body).take(limit).read_to_end(&mut plain)?,
        // Some servers send what is in the zlib format without its frame.
        "deflate" => DeflateDecoder::new(body).take(limit).read_to_end(&mut plain)?,
        _ => return Ok(None),
    };
    Ok(Some(plain))
}

/// The first two bytes of a zlib stream (RFC 1950 §2.2).
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

/// The text in UTF-8. A byte order mark wins over the charset; what has neither is UTF-8, or UTF-16 that shows. A charset
/// that is not known, and UTF-8 that is none, stay as they are: JSON in them is not read.
fn in_utf8<'a>(body: &'a [u8], charset: Option<&str>) -> Cow<'a, [u8]> {
    let (encoding, mark) = Encoding::for_bom(body).unwrap_or_else(|| (declared(body, charset), 0));
    let text = &body[mark..];
    if encoding == UTF_8 || encoding == REPLACEMENT {
        return Cow::Borrowed(text);
    }
    let (text, _) = encoding.decode_without_bom_handling(text);
    Cow::Owned(text.into_owned().into_bytes())
}

fn declared(body: &[u8], charset: Option<&str>) -> &'static Encoding {
    match (charset, body) {
        (Some(label), _) => Encoding::for_label(label.as_bytes()).unwrap_or(REPLACEMENT),
        (None, [b'{' | b'[', 0, ..]) => UTF_16LE,
        (None, [0, b'{' | b'[', ..]) => UTF_16BE,
        (None, _) => UTF_8,
    }
}

/// Whether the charset is one that [`decode`] can read.
pub(super) fn is_known(charset: &str) -> bool {
    Encoding::for_label(charset.as_bytes()).is_some_and(|encoding| encoding != REPLACEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    const TEXT: &str = r#"{"code":500,"message":"数据库错误"}"#;
    const CAP: u64 = 1 << 20;

    fn all(mut reader: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn read(body: &[u8], encoding: Option<&str>, charset: Option<&str>) -> (String, BodyEnd) {
        let (body, end) = decode(body.to_vec(), BodyEnd::Whole, Written { encoding, charset }, CAP);
        (String::from_utf8_lossy(&body.text).into_owned(), end)
    }

    #[test]
    fn every_charset_becomes_utf_8() {
        let whole = |text: &str| (text.to_owned(), BodyEnd::Whole);
        let utf_16 = |big: bool| {
            let units = TEXT.encode_utf16();
            units
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect::<Vec<_>>()
        };
        let (gbk, ..) = encoding_rs::GBK.encode(TEXT);
        let (gb18030, ..) = encoding_rs::GB18030.encode(TEXT);
        let (big5, ..) = encoding_rs::BIG5.encode("資料庫錯誤");
        assert_eq!(read(&gbk, None, Some("GBK")), whole(TEXT));
        assert_eq!(read(&gbk, None, Some("gb2312")), whole(TEXT));
        assert_eq!(read(&gb18030, None, Some("GB18030")), whole(TEXT));
        assert_eq!(read(&big5, None, Some("Big5")), whole("資料庫錯誤"));
        assert_eq!(read(b"\xe9chec", None, Some("ISO-8859-1")), whole("échec"));
        assert_eq!(read(TEXT.as_bytes(), None, Some("utf8")), whole(TEXT));
        assert_eq!(read(TEXT.as_bytes(), None, None), whole(TEXT));
        for (big, label) in [(true, "utf-16be"), (false, "utf-16")] {
            let mark = if big { [0xfe, 0xff] } else { [0xff, 0xfe] };
            assert_eq!(read(&utf_16(big), None, Some(label)), whole(TEXT), "{label}");
            assert_eq!(read(&utf_16(big), None, None), whole(TEXT), "{label}, not declared");
            assert_eq!(
                read(&[&mark, &utf_16(big)[..]].concat(), None, Some("utf-8")),
                whole(TEXT),
                "{label}, marked"
            );
        }
        assert_eq!(read(format!("\u{feff}{TEXT}").as_bytes(), None, Some("gbk")), whole(TEXT), "a mark wins");
        assert_eq!(read(b"\xe9chec", None, Some("no-such")), whole("\u{fffd}chec"), "as it is");
        assert!(is_known("gbk") && is_known("Latin1") && !is_known("no-such") && !is_known("iso-2022-kr"));
    }

    #[test]
    fn a_compressed_body_is_read_or_refused_by_name() {
        let whole = (TEXT.to_owned(), BodyEnd::Whole);
        let text = TEXT.as_bytes();
        let gzip = all(GzEncoder::new(text, Compression::fast()));
        let (gbk, ..) = encoding_rs::GBK.encode(TEXT);
        assert_eq!(read(&gzip, Some("gzip"), None), whole);
        assert_eq!(read(&gzip, Some("identity, X-GZIP"), None), whole);
        assert_eq!(
            read(&all(GzEncoder::new(&gzip[..], Compression::fast())), Some("gzip, gzip"), None),
            whole
        );
        assert_eq!(
            read(&all(GzEncoder::new(&gbk[..], Compression::fast())), Some("gzip"), Some("gbk")),
            whole
        );
        assert_eq!(read(&all(ZlibEncoder::new(text, Compression::fast())), Some("deflate"), None), whole);
        assert_eq!(read(&all(DeflateEncoder::new(text, Compression::fast())), Some("deflate"), None), whole);
        assert_eq!(read(b"", Some("br"), None), (String::new(), BodyEnd::Whole));
        for (body, encoding, says) in [
            (text, "br", "\"br\", which was not asked for"),
            (text, "zstd", "\"zstd\""),
            (text, "gzip", "\"gzip\" cannot be read"),
            (&gzip[..gzip.len() - 9], "gzip", "\"gzip\" cannot be read"),
        ] {
            let (body, end) = read(body, Some(encoding), None);
            assert!(
                body.is_empty() && matches!(&end, BodyEnd::Unreadable(why) if why.contains(says)),
                "{end:?}"
            );
        }
        let bomb = all(GzEncoder::new(&vec![0; 4 << 20][..], Compression::fast()));
        assert_eq!(read(&bomb, Some("gzip"), None), (String::new(), BodyEnd::OverCap(CAP)));
        let cut = decode(
            gzip,
            BodyEnd::Cut("reset".to_owned()),
            Written { encoding: Some("gzip"), charset: None },
            CAP,
        );
        assert_eq!(cut, (Body::default(), BodyEnd::Cut("reset".to_owned())));
    }

    #[test]
    fn what_was_sent_in_another_charset_is_kept() {
        let marked = format!("\u{feff}{TEXT}");
        let body = Body::of(marked.clone().into_bytes(), None);
        assert_eq!(body, Body { text: TEXT.as_bytes().to_vec(), as_sent: Some(marked.into_bytes()) });
        assert_eq!(Body::of(TEXT.as_bytes().to_vec(), None).as_sent, None);
    }
}
