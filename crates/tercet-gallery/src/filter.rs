//! The filter of a search: which items it may find.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which items may be found: those that satisfy every part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Items with one of these labels; of every label if empty.
    pub labels: Vec<String>,
    /// Items that have, for each of these names, one of its values.
    pub attributes: BTreeMap<String, Values>,
    /// Items whose ids are not among these.
    pub without: Vec<String>,
}

impl Filter {
    /// Adds a value of an attribute. Several values of one name are alternatives; the conditions of
    /// several names must all be satisfied.
    ///
    /// ```
    /// use tercet_gallery::Filter;
    /// let mut filter = Filter::default();
    /// for (name, value) in [("camera", "1"), ("camera", "2"), ("part", "test")] {
    ///     filter.allow(name, value); // camera 1 or 2, and part test
    /// }
    /// assert_eq!(filter.attributes["camera"].as_slice(), ["1", "2"]);
    /// ```
    pub fn allow(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.attributes.entry(name.into()).or_default().add(value.into());
    }
}

/// Values of an attribute; an item needs one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Values(Vec<String>);

impl Values {
    /// Adds a value, unless it is present already.
    pub fn add(&mut self, value: String) {
        if !self.0.contains(&value) {
            self.0.push(value);
        }
    }

    /// The values, in the order in which they were added.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl From<&str> for Values {
    fn from(value: &str) -> Self {
        Self(vec![value.to_owned()])
    }
}

impl From<String> for Values {
    fn from(value: String) -> Self {
        Self(vec![value])
    }
}

/// A filter may be serialised with a single value, which was the only form before several values
/// were allowed.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Values {
    fn from(values: OneOrMany) -> Self {
        match values {
            OneOrMany::One(value) => value.into(),
            OneOrMany::Many(values) => Self(values),
        }
    }
}
