//! Classes that are taken from the names of files.

use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::DataError;

/// A regular expression with one group, which takes the class out of the name of a file.
///
/// An expression that contains a `/` is matched with the path from the root of the source, any
/// other with the file name alone. An empty match is not a class.
///
/// ```
/// use tercet_train::data::LabelFrom;
/// let number: LabelFrom = r"^(\d+)_".parse()?;
/// assert_eq!(number.class("train/0002_c1s1.jpg"), Some("0002"));
/// assert_eq!(number.class("train/portrait.jpg"), None);
/// let folder: LabelFrom = r"([^/]+)/[^/]+$".parse()?;
/// assert_eq!(folder.class("fold1/cat/7.png"), Some("cat"));
/// # Ok::<(), tercet_train::data::DataError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelFrom(Regex);

impl LabelFrom {
    /// The class in the path of a file; `None` if the expression does not match.
    pub fn class<'a>(&self, path: &'a str) -> Option<&'a str> {
        let text = match self.0.as_str().contains('/') {
            true => path,
            false => path.rsplit('/').next().unwrap_or(path),
        };
        let class = self.0.captures(text)?.get(1)?.as_str();
        (!class.is_empty()).then_some(class)
    }
}

impl FromStr for LabelFrom {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let refuse = |reason: String| {
            DataError::Parameter(ParameterError {
                parameter: "label-from",
                got: format!("`{text}`"),
                expected: format!(
                    r"a regular expression with one group, such as '^(\d+)_' ({reason})"
                ),
            })
        };
        let regex = Regex::new(text).map_err(|error| {
            // The library's message shows the position in several lines; the last one says what is
            // wrong.
            let told = error.to_string();
            let last = told.lines().last().unwrap_or_default();
            refuse(last.trim_start_matches("error: ").to_owned())
        })?;
        match regex.captures_len() - 1 {
            1 => Ok(Self(regex)),
            groups => Err(refuse(format!("it has {groups} groups"))),
        }
    }
}

impl TryFrom<String> for LabelFrom {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<LabelFrom> for String {
    fn from(pattern: LabelFrom) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for LabelFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl PartialEq for LabelFrom {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for LabelFrom {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_has_one_group_and_takes_a_class() {
        for (pattern, path, class) in [
            (r"^(\d+)_", "0002_c1.jpg", Some("0002")),
            (r"^(\d+)_", "a/x_0002.jpg", None),
            (r"^(\d*)_", "_x.jpg", None),
            (r"^([^/]+)/", "fold1/cat/1.png", Some("fold1")),
            (r"^(?:IMG|DSC)_(\w+?)-", "deep/DSC_ann-3.png", Some("ann")),
            ("^(あ)", "あ1.png", Some("あ")),
        ] {
            assert_eq!(pattern.parse::<LabelFrom>().unwrap().class(path), class, "{pattern}");
        }
        for (pattern, reason) in [
            (r"^\d+_", "it has 0 groups"),
            (r"(a)(b)", "it has 2 groups"),
            (r"(a", "unclosed group"),
            ("", "it has 0 groups"),
        ] {
            let message = pattern.parse::<LabelFrom>().unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("label-from"), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
