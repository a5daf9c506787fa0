//! The texts of a catalogue, and how an encoder reads them.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tercet::{ParameterError, named};

use super::{BadItem, Catalogue, Content, DataError, Item, Text};

/// The largest number of tokens that an encoder may read.
const MOST_TOKENS: usize = 1 << 20;

/// The preprocessing of a text before it enters an encoder, and how one vector is made of those of
/// its tokens. Part of the model file, like [`Preprocessing`](super::Preprocessing) for pictures.
/// The vocabulary, and whether upper case matters, are those of the encoder's tokeniser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextInput {
    /// The largest number of tokens of a text, together with those that the tokeniser adds at its
    /// ends; the rest of a longer text is not read.
    pub max_tokens: usize,
    /// How one vector is made of the vectors of the tokens.
    pub pooling: TokenPooling,
    /// Whether the vector is scaled to length 1.
    pub normalize: bool,
}

/// How one vector is made of the vectors hᵢ of a text's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPooling {
    /// Their mean, (1/n) Σ hᵢ, in which padding does not count (Sentence-BERT, arXiv 1908.10084).
    #[default]
    Mean,
    /// The vector h₁ of the first token, which BERT calls `[CLS]`.
    Cls,
}

named!(TokenPooling, "pooling", [Mean = "mean", Cls = "cls"]);

impl Default for TextInput {
    /// 256 tokens, their mean, not scaled.
    fn default() -> Self {
        Self { max_tokens: 256, pooling: TokenPooling::default(), normalize: false }
    }
}

impl TextInput {
    /// Checks that every parameter is in its range.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless there is at least one token, and no more than an encoder of
    /// texts reads.
    pub fn check(&self) -> Result<(), DataError> {
        match (1..=MOST_TOKENS).contains(&self.max_tokens) {
            true => Ok(()),
            false => Err(DataError::Parameter(ParameterError {
                parameter: "max_tokens",
                got: self.max_tokens.to_string(),
                expected: format!("between 1 and {MOST_TOKENS}"),
            })),
        }
    }
}

/// The items of a catalogue of texts.
#[derive(Debug, Clone)]
pub struct Texts {
    catalogue: Catalogue,
    input: TextInput,
}

impl Texts {
    /// Takes the texts of a catalogue, and returns the items that are left out.
    ///
    /// # Errors
    /// - [`DataError::BadItems`] if some cannot be used, unless `skip_bad` is set;
    /// - [`DataError::NotTexts`] if the source has images or vectors;
    /// - [`DataError::NoItems`] if there are no items, [`DataError::AllBad`] if none can be used;
    /// - [`DataError::Parameter`] if the preprocessing is outside its range.
    pub fn prepare(
        catalogue: Catalogue,
        input: &TextInput,
        skip_bad: bool,
    ) -> Result<(Self, Vec<BadItem>), DataError> {
        input.check()?;
        let other = catalogue.items.iter().find_map(|item| match &item.content {
            Content::Text(_) => None,
            Content::Vector(_) => Some("vectors"),
            _ => Some("images"),
        });
        if let Some(found) = other {
            return Err(DataError::NotTexts { text: catalogue.source, found });
        }
        catalogue.needs_good(skip_bad)?;
        if catalogue.is_empty() {
            return Err(DataError::NoItems { what: "an encoder of texts" });
        }
        let bad = catalogue.bad.clone();
        Ok((Self { catalogue, input: input.clone() }, bad))
    }

    /// Texts that are no items of a source, such as those of a request. Their ids are their numbers.
    ///
    /// # Errors
    /// [`DataError::BadItems`] with the number of the first empty text.
    pub fn of(texts: &[&str], input: &TextInput) -> Result<Self, DataError> {
        let file: Arc<Path> = Path::new("text").into();
        if let Some(place) = texts.iter().position(|text| text.trim().is_empty()) {
            let reason = "it is empty, expected a text".to_owned();
            let first =
                BadItem { id: place.to_string(), path: format!("text {}", place + 1), reason };
            return Err(DataError::BadItems { first, more: 0 });
        }
        let item = |(place, text): (usize, &&str)| {
            Item::new(place.to_string(), Content::Text(Text::new(file.clone(), text.trim())))
        };
        let items: Vec<Item> = texts.iter().enumerate().map(item).collect();
        let labels = items.iter().map(|_| "").collect();
        let catalogue =
            Catalogue { labelled: false, ..Catalogue::new("texts".to_owned(), items, labels) };
        Ok(Self { catalogue, input: input.clone() })
    }

    /// The catalogue of the items, without those that were left out.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The preprocessing of the items.
    pub fn input(&self) -> &TextInput {
        &self.input
    }

    /// The text of an item.
    ///
    /// # Panics
    /// If the item is not smaller than the number of items.
    pub fn text(&self, item: u32) -> &str {
        // All items are texts, as `prepare` checked.
        self.catalogue.items[item as usize].content.text().unwrap_or_default()
    }
}
