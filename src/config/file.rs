//! A YAML file as `(key, value, line, column)` values: sections of scalars and lists, and below `targets` such sections
//! again, one level deeper for each name.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

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
    /// The system's, when it cannot be read as UTF-8 text.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), text: std::fs::read_to_string(path)? })
    }

    /// The values in the order of the file, the names below `targets`, and every problem of shape.
    pub(super) fn content(&self) -> FileContent {
        let root = match serde_saphyr::from_str::<Option<Spanned<Node>>>(&self.text) {
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
            Node::Scalar(_) | Node::List(_) => {
                read.problem(&root, "", "expected sections such as `call:` with keys below them");
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
        let error = error.without_snippet().to_string();
        Problem {
            origin: Origin::File { path: self.path.clone(), line, column },
            key: String::new(),
            value: None,
            message: format!("not valid YAML: {}", error.lines().next().unwrap_or("unreadable")),
            hint: Some("quote values that begin with * @ % or contain \": \"".to_owned()),
        }
    }
}

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
            Node::Scalar(_) | Node::List(_) => {
                self.problem(at, key, expected);
                None
            }
        }
    }

    fn value(&mut self, target: Option<&str>, section: &str, key: &Spanned<String>, node: &Spanned<Node>) {
        let dotted = format!("{section}.{}", key.value);
        // An empty value still proves that the key is meant: its name is checked, its default stays.
        let (value, origin) = match &node.value {
            Node::Null => (None, self.file.origin(key)),
            Node::Scalar(text) => (Some(Value::Text(text.clone())), self.file.origin(node)),
            Node::List(items) if items.iter().all(|item| matches!(item, Node::Scalar(_))) => {
                let texts = items.iter().filter_map(|item| match item {
                    Node::Scalar(text) => Some(text.clone()),
                    _ => None,
                });
                (Some(Value::List(texts.collect())), self.file.origin(node))
            }
            Node::List(_) | Node::Map(_) => {
                self.problem(key, &of_target(target, &dotted), "expected one value or a list of values");
                return;
            }
        };
        self.content.values.push(FileValue { target: target.map(str::to_owned), key: dotted, value, origin });
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
    Scalar(String),
    List(Vec<Node>),
    Map(Entries),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {$(
        fn $method<E>(self, value: $type) -> Result<Node, E> {
            Ok(Node::Scalar(value.to_string()))
        }
    )*};
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

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
