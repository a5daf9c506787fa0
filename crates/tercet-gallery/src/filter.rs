//! Which items a search may find.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which items may be found: those that pass every part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Those of any of these classes; of every class if empty.
    pub labels: Vec<String>,
    /// Those that have, for every name, any of its values.
    pub attributes: BTreeMap<String, Values>,
    /// But none of these ids.
    pub without: Vec<String>,
}

impl Filter {
    /// Adds a value of an attribute: several values of one name are alternatives, several names must
    /// all hold.
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

/// Values of an attribute of which any will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Values(Vec<String>);

impl Values {
    /// Adds a value, unless it is there.
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

/// A filter may be written with a single value, as it was before there could be several.
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
