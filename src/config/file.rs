//! A YAML file as `(key, value, line, column)` values: sections of scalars and lists, and below `targets` such sections
//! again, one level deeper for each name.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Error, Spanned};

use super::field::Value;
use super::problem::{Origin, Problem};

/// A configuration file that was read.
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// The section that holds further configurations, each below its name.
pub(super) const TARGETS: &str = "targets";

/// One `section.key: value` of a file.
pub(super) struct FileValue {
    /// The target that it is for; none for the unnamed one.
    pub(super) target: Option<String>,
    pub(super) key: String,
    pub(super) value: Option<Value>,
    pub(super) origin: Origin,
}

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// The system's, or [`ErrorKind::InvalidData`] when it is no UTF-8 text.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let text = String::from_utf8(std::fs::read(path)?).map_err(|error| {
            let encoding = match error.as_bytes() {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16 text, expected UTF-8",
                _ => "it is no UTF-8 text",
            };
            std::io::Error::new(ErrorKind::InvalidData, encoding)
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The values in the order of the file, the names below `targets`, and every problem of shape.
    pub(super) fn content(&self) -> FileContent {
        // What looks like a number without end is a text like any other.
        let options = serde_saphyr::options! { non_finite_float_policy: NonFiniteFloatPolicy::PassThrough };
        let root = match serde_saphyr::from_str_with_options::<Option<Spanned<Node>>>(&self.text, options) {
            Ok(Some(root)) => root,
            Ok(None) => return FileContent::default(),
            Err(error) => {
                return FileContent { problems: vec![self.broken(&error)], ..FileContent::default() };
            }
        };
        let mut read = Reader { file: self, content: FileContent::default() };
        match root.value {
            Node::Map(sections) => {
                for (name, node) in sections {
                    if name.value == TARGETS {
                        read.targets(&name, node);
                    } else {
                        read.section(None, &name, node);
                    }
                }
            }
            Node::Null => {}
            Node::Text(_) | Node::Typed | Node::List(_) => {
                read.problem(&root, "", "expected sections such as `log:` with keys below them");
            }
        }
        read.content
    }

    fn origin<T>(&self, at: &Spanned<T>) -> Origin {
        Origin::File { path: self.path.clone(), line: at.referenced.line(), column: at.referenced.column() }
    }

    /// A file that is not YAML. The parser's snippet would show the neighbouring lines, which may hold secrets.
    fn broken(&self, error: &serde_saphyr::Error) -> Problem {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let (message, hint) = match error.without_snippet() {
            Error::DuplicateMappingKey { key, .. } => (
                format!(
                    "{} is here a second time",
                    key.as_deref().map_or("a key".to_owned(), |key| format!("the key {key:?}"))
                ),
                "write the section or key once, and remove the other",
            ),
            Error::MultipleDocuments { .. } => (
                "a second document begins here, and a configuration is one".to_owned(),
                "remove the line of --- and join the sections, or make it a file of its own",
            ),
            error => {
                let error = error.to_string();
                let message = format!("not valid YAML: {}", error.lines().next().unwrap_or("unreadable"));
                (message, "quote values that begin with * @ % or contain \": \"")
            }
        };
        let origin = Origin::File { path: self.path.clone(), line, column };
        Problem { origin, key: String::new(), value: None, message, hint: Some(hint.to_owned()) }
    }
}

const ONE_OR_LIST: &str = "expected one value or a list of values";
const QUOTE: &str = "its text is not certain: put it in quotes";

/// What a file holds.
#[derive(Default)]
pub(super) struct FileContent {
    /// In the order of the file.
    pub(super) values: Vec<FileValue>,
    /// The names below `targets`, with or without values.
    pub(super) targets: Vec<(String, Origin)>,
    /// Every problem of shape.
    pub(super) problems: Vec<Problem>,
}

struct Reader<'a> {
    file: &'a ConfigFile,
    content: FileContent,
}

impl Reader<'_> {
    /// `targets: {NAME: {section: {key: value}}}`.
    fn targets(&mut self, at: &Spanned<String>, node: Spanned<Node>) {
        let Some(names) = self.map(at, node, "targets", "expected names of targets with sections below them")
        else {
            return;
        };
        for (name, node) in names {
            self.content.targets.push((name.value.clone(), self.file.origin(&name)));
            let place = of_target(Some(&name.value), "");
            let expected = "expected sections such as `api:` with keys below them";
            for (section, node) in
                self.map(&name, node, place.trim_end_matches('.'), expected).into_iter().flatten()
            {
                self.section(Some(&name.value), &section, node);
            }
        }
    }

    fn section(&mut self, target: Option<&str>, name: &Spanned<String>, node: Spanned<Node>) {
        let place = of_target(target, &name.value);
        for (key, node) in
            self.map(name, node, &place, "expected a section with keys below it").into_iter().flatten()
        {
            self.value(target, &name.value, &key, &node);
        }
    }

    /// The entries of a mapping; an empty place has none, and anything else is a problem.
    fn map(
        &mut self,
        at: &Spanned<String>,
        node: Spanned<Node>,
        key: &str,
        expected: &str,
    ) -> Option<Entries> {
        match node.value {
            Node::Map(entries) => Some(entries),
            Node::Null => None,
            Node::Text(_) | Node::Typed | Node::List(_) => {
                self.problem(at, key, expected);
                None
            }
        }
    }

    fn value(&mut self, target: Option<&str>, section: &str, key: &Spanned<String>, node: &Spanned<Node>) {
        let dotted = format!("{section}.{}", key.value);
        // An empty value still proves that the key is meant: its name is checked, its default stays.
        let value = match &node.value {
            Node::Null => Ok(None),
            Node::Text(_) | Node::Typed => self.text(node).map(|text| Some(Value::Text(text))),
            Node::List(items) => items
                .iter()
                .map(|item| self.text(item))
                .collect::<Result<_, _>>()
                .map(|list| Some(Value::List(list))),
            Node::Map(_) => Err(ONE_OR_LIST),
        };
        let value = match value {
            _ if self.is_marked(key, matches!(node.value, Node::Null)) => {
                return self.problem(key, &of_target(target, &dotted), QUOTE);
            }
            Ok(value) => value,
            Err(message) => return self.problem(key, &of_target(target, &dotted), message),
        };
        let origin = if value.is_some() { self.file.origin(node) } else { self.file.origin(key) };
        self.content.values.push(FileValue { target: target.map(str::to_owned), key: dotted, value, origin });
    }

    /// The text of a scalar as it is written: `010`, `3.10` and `yes` are a password's text and no numbers.
    fn text(&self, node: &Spanned<Node>) -> Result<String, &'static str> {
        match &node.value {
            Node::Text(text) => Ok(text.clone()),
            Node::Typed => {
                let span = node.defined.span();
                let place = span.byte_offset().zip(span.byte_len()).and_then(|(offset, length)| {
                    let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
                    self.file.text.get(offset..offset.checked_add(length)?)
                });
                // A tag or an anchor before it would be taken for a part of it.
                place
                    .map(str::trim)
                    .filter(|text| !text.is_empty() && !text.starts_with(['!', '&']))
                    .map(str::to_owned)
                    .ok_or(QUOTE)
            }
            Node::Null | Node::List(_) | Node::Map(_) => Err(ONE_OR_LIST),
        }
    }

    /// Whether a value begins with what YAML takes for a mark and leaves out: `!secret`, or `&secret` with nothing behind.
    fn is_marked(&self, key: &Spanned<String>, is_null: bool) -> bool {
        let span = key.referenced.span();
        let behind = span.byte_offset().zip(span.byte_len()).and_then(|(offset, length)| {
            self.file.text.get(usize::try_from(offset + length).ok()?..)?.lines().next()
        });
        let value =
            behind.unwrap_or_default().trim_start_matches(|c: char| "'\":".contains(c) || c.is_whitespace());
        (value.starts_with('!') && !value.starts_with("!!str ")) || (is_null && value.starts_with('&'))
    }

    fn problem<T>(&mut self, at: &Spanned<T>, key: &str, message: &str) {
        self.content.problems.push(Problem {
            origin: self.file.origin(at),
            key: key.to_owned(),
            value: None,
            message: message.to_owned(),
            hint: Some("`config default` prints a complete file".to_owned()),
        });
    }
}

/// A key as it is called in messages: `targets.NAME.section.key` when it is a target's.
pub(super) fn of_target(target: Option<&str>, key: &str) -> String {
    target.map_or_else(|| key.to_owned(), |name| format!("{TARGETS}.{name}.{key}"))
}

type Entries = Vec<(Spanned<String>, Spanned<Node>)>;

/// A YAML node as far as configuration needs it.
enum Node {
    Null,
    /// A text as it is.
    Text(String),
    /// What YAML takes for a number or a truth value; its text is in the file.
    Typed,
    List(Vec<Spanned<Node>>),
    Map(Entries),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! typed {
    ($($method:ident: $type:ty),*) => {$(
        fn $method<E>(self, _: $type) -> Result<Node, E> {
            Ok(Node::Typed)
        }
    )*};
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    typed!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64);

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<Option<Value>>, String> {
        let file = ConfigFile { path: "c.yaml".into(), text: text.to_owned() };
        let FileContent { values, problems, .. } = file.content();
        match problems.first() {
            None => Ok(values.into_iter().map(|value| value.value).collect()),
            Some(problem) => Err(problem.to_string()),
        }
    }

    #[test]
    fn a_scalar_is_the_text_that_is_written() {
        for text in [
            "0123456",
            "3.10",
            "1e10",
            "1e999",
            "0x1F",
            "0o17",
            "1_000",
            "yes",
            "no",
            "on",
            "Off",
            "y",
            "N",
            "true",
            "FALSE",
            "+1",
            "-0",
            ".5",
            ".inf",
            "-.INF",
            ".nan",
            "12345678901234567890123",
            "2026-11-20",
            "12:30:45",
            "1:30",
            "a # b",
            "密码",
        ] {
            let text = text.split(" #").next().unwrap();
            let one = vec![Some(Value::Text(text.to_owned()))];
            for yaml in [
                format!("iam:\n  password: {text}\n"),
                format!("iam:\n  password:   {text}   # why\n"),
                format!("iam: {{password: {text}}}"),
                format!("\u{feff}iam:\n  password: {text}"),
                format!("# 说明\niam:\n  password: {text}\r\n"),
                format!("iam:\n  password: '{text}'\n"),
                format!("iam:\n  password: !!str {text}\n"),
            ] {
                assert_eq!(values(&yaml).as_ref(), Ok(&one), "{yaml}");
            }
            let list = vec![Some(Value::List(vec![text.to_owned(), "x".to_owned()]))];
            for yaml in [format!("a: {{b: [{text}, x]}}"), format!("a:\n  b:\n  - {text}\n  - x\n")] {
                assert_eq!(values(&yaml).as_ref(), Ok(&list), "{yaml}");
            }
        }
        assert_eq!(values("a: {b: , c: ~, d: null}"), Ok(vec![None, None, None]));
    }

    #[test]
    fn what_is_written_for_yaml_alone_is_the_text_or_asks_for_quotes() {
        for yaml in
            ["a: {b: &x 010, c: *x}", "a: {b: !!int 010}", "a: {b: !!float 3.10}", "a: {b: !!bool yes}"]
        {
            match values(yaml) {
                Ok(found) => assert!(
                    found.iter().all(|value| matches!(value, Some(Value::Text(text)) if yaml.contains(text.as_str()) && !text.contains(' '))),
                    "{yaml}: {found:?}"
                ),
                Err(problem) => assert!(problem.contains("quote"), "{problem}"),
            }
        }
        for yaml in
            ["a:\n  b: !secret x\n", "a:\n  'b': !secret\n", "a:\n  b: &secret\n", "a: {b: !!int 010}"]
        {
            let problem = values(yaml).unwrap_err();
            assert!(problem.contains("quote") && !problem.contains("secret"), "{problem}");
        }
        assert!(values("a: {b: [[1]]}").is_err() && values("a: {b: {c: 1}}").is_err());
    }
}
