//! Where a list goes on. A cursor is opaque to callers: `next` of one reply is `after` of the next request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;

use crate::business::plan::{Page, Part, TaskMark};
use crate::business::sync_run::SyncMark;
use crate::http::edge::ApiError;
use crate::http::edge::fields::{exact, up_to};

/// Items of one page, unless the request says otherwise, and at most.
const PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;
/// Items that pages may be numbered past: a page by its number has all items before it read.
const DEEPEST: i64 = 10_000;

/// An item's place in a list.
pub(super) trait Cursor: Sized {
    /// Which list.
    const LIST: &'static str;

    fn fields(&self) -> String;

    fn parse(fields: &str) -> Option<Self>;

    /// As replies say it.
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", Self::LIST, self.fields()))
    }

    /// As requests say it; an empty one is the beginning.
    fn read(text: &str) -> Result<Option<Self>, ApiError> {
        if text.is_empty() {
            return Ok(None);
        }
        let decoded = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let fields = decoded.as_deref().and_then(|text| text.split_once(':'));
        let mark = fields.filter(|(list, _)| *list == Self::LIST).and_then(|(_, fields)| Self::parse(fields));
        mark.map(Some).ok_or_else(|| ApiError::invalid("after", "expected the `next` of a page of this list"))
    }
}

/// Of a plan: its id.
impl Cursor for i64 {
    const LIST: &'static str = "plans";

    fn fields(&self) -> String {
        self.to_string()
    }

    fn parse(fields: &str) -> Option<Self> {
        exact(fields)
    }
}

impl Cursor for TaskMark {
    const LIST: &'static str = "tasks";

    fn fields(&self) -> String {
        format!("{},{}", self.id, self.planned_at)
    }

    fn parse(fields: &str) -> Option<Self> {
        let (id, planned_at) = fields.split_once(',')?;
        // Only what a database can compare with its own.
        DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", planned_at).ok()?;
        Some(Self { planned_at: planned_at.to_owned(), id: exact(id)? })
    }
}

impl Cursor for SyncMark {
    const LIST: &'static str = "runs";

    fn fields(&self) -> String {
        format!("{},{}", self.started_at.as_millisecond(), self.id)
    }

    fn parse(fields: &str) -> Option<Self> {
        let (started_at, id) = fields.split_once(',')?;
        Some(Self { started_at: Timestamp::from_millisecond(exact(started_at)?).ok()?, id: id.to_owned() })
    }
}

/// Which part of a list: a page by its number, the first unless it is said, or what comes after an item.
pub(super) fn part<Mark: Cursor>(
    page: Option<&Value>,
    size: Option<&Value>,
    after: Option<&str>,
) -> Result<Part<Mark>, ApiError> {
    let number = up_to(i32::MAX.unsigned_abs(), "page", page)?;
    let size = up_to(MAX_PAGE, "page_size", size)?.unwrap_or(PAGE);
    let Some(after) = after else {
        let page = Page { number: number.unwrap_or(1), size };
        if page.offset() >= DEEPEST {
            let reason = format!(
                "pages are numbered up to item {DEEPEST}; go on with `after`, which takes the `next` of a page"
            );
            return Err(ApiError::invalid("page", reason));
        }
        return Ok(Part::Page(page));
    };
    if number.is_some() {
        return Err(ApiError::invalid("after", "goes without `page`: it says itself where the page begins"));
    }
    Ok(Part::After { mark: Mark::read(after)?, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_has_a_number_and_a_size() {
        let page = |page: &Value, size: &Value| {
            part::<i64>(Some(page), Some(size), None).map(|part| part.page().unwrap())
        };
        assert_eq!(page(&Value::Null, &Value::Null).unwrap(), Page { number: 1, size: PAGE });
        assert!(page(&json!(1), &json!("101")).is_err() && page(&json!(0), &json!(20)).is_err());
        assert_eq!(page(&json!(500), &json!(20)).unwrap().offset(), DEEPEST - 20);
        let deep = page(&json!(501), &json!(20)).unwrap_err().message;
        assert!(deep.starts_with("page: ") && deep.contains("`after`"), "{deep}");
    }

    #[test]
    fn a_list_goes_on_after_an_item_of_its_own() {
        let mark = TaskMark { planned_at: "2026-11-20 00:00:00.000123".to_owned(), id: 7 };
        let after = part::<TaskMark>(None, Some(&json!(5)), Some(&mark.write())).unwrap();
        assert_eq!(after, Part::After { mark: Some(mark.clone()), size: 5 });
        assert_eq!(part::<i64>(None, None, Some("")).unwrap(), Part::After { mark: None, size: PAGE });
        let run = SyncMark { started_at: "2026-11-20T00:00:00Z".parse().unwrap(), id: "a,b:c".to_owned() };
        assert_eq!(SyncMark::read(&run.write()).unwrap(), Some(run));
        for bad in [
            "x".to_owned(),
            mark.planned_at.clone(),
            5_i64.write(),
            URL_SAFE_NO_PAD.encode("tasks:7,yesterday"),
            URL_SAFE_NO_PAD.encode("tasks:07,2026-11-20 00:00:00"),
        ] {
            assert!(part::<TaskMark>(None, None, Some(&bad)).is_err(), "{bad}");
        }
        assert!(part::<TaskMark>(Some(&json!(2)), None, Some(&mark.write())).is_err());
    }
}
