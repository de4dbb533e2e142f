//! Enums whose values are words: in options, configuration, tables, requests and replies.

use thiserror::Error;

/// A word that is none of those that an enum knows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown {what} {found:?}: expected {}", .words.join(", "))]
pub struct UnknownWord {
    /// What the word should have been: "plan status".
    pub what: &'static str,
    /// What it was.
    pub found: String,
    /// What it may be.
    pub words: &'static [&'static str],
}

impl UnknownWord {
    /// "expected" and the words: for messages that show what was found in a way of their own.
    pub fn expected(&self) -> String {
        format!("expected {}", self.words.join(", "))
    }
}

/// Declares an enum and the word of each of its values:
///
/// ```text
/// words! {
///     /// How fast.
///     #[derive(Default)]
///     pub enum Speed: "speed" {
///         /// As fast as it goes.
///         #[default]
///         Full = "full",
///         /// With pauses.
///         Slow = "slow",
///     }
/// }
/// assert_eq!("slow".parse(), Ok(Speed::Slow));
/// assert_eq!("fast".parse::<Speed>().unwrap_err().to_string(), "unknown speed \"fast\": expected full, slow");
/// ```
macro_rules! words {
    ($(#[$meta:meta])* $visible:vis enum $name:ident: $what:literal {
        $($(#[$of_variant:meta])* $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visible enum $name { $($(#[$of_variant])* $variant),+ }

        #[allow(dead_code, reason = "not every enum needs every one of these")]
        impl $name {
            /// Every value, in the order of the words.
            $visible const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every word.
            $visible const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word.
            $visible fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::word::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Self::Err { what: $what, found: text.to_owned(), words: Self::WORDS }),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    words! {
        /// A test's.
        #[derive(Default)]
        enum Speed: "speed" {
            #[default]
            Full = "full",
            Slow = "slow",
        }
    }

    #[test]
    fn a_word_is_read_shown_and_sent_as_itself() {
        for speed in Speed::ALL {
            assert_eq!(speed.as_str().parse(), Ok(*speed));
            assert_eq!(serde_json::from_value::<Speed>(serde_json::json!(speed)).unwrap(), *speed);
        }
        assert_eq!((Speed::default(), format!("{:>6}", Speed::Slow)), (Speed::Full, "  slow".to_owned()));
        let unknown = "fast".parse::<Speed>().unwrap_err();
        assert_eq!(unknown.to_string(), "unknown speed \"fast\": expected full, slow");
        assert!(serde_json::from_str::<Speed>("\"fast\"").unwrap_err().to_string().contains("unknown speed"));
    }
}
