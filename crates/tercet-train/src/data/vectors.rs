//! The vectors of a catalogue as numbers.

use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::{BadItem, Catalogue, DataError};

/// The preprocessing of a vector before it enters an encoder: (x − mean) / deviation of each
/// component, or none. Part of the model file, like [`Preprocessing`](super::Preprocessing) for
/// pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardization {
    /// Number of components of a vector.
    pub dimensions: usize,
    /// Subtracted from each component; empty if vectors are not changed.
    pub mean: Vec<f32>,
    /// The divisor of each component after the subtraction; as long as `mean`.
    pub std: Vec<f32>,
}

impl Standardization {
    /// No change of vectors with this many components.
    pub fn none(dimensions: usize) -> Self {
        Self { dimensions, mean: Vec::new(), std: Vec::new() }
    }

    /// A vector as the input of an encoder; it has as many components as `dimensions` says.
    pub(crate) fn apply(&self, row: ArrayView1<f32>) -> Vec<f32> {
        if self.mean.is_empty() {
            return row.to_vec();
        }
        let statistics = self.mean.iter().zip(&self.std);
        row.iter().zip(statistics).map(|(value, (mean, std))| (value - mean) / std).collect()
    }

    /// Checks that every parameter is in its range.
    ///
    /// # Errors
    /// [`DataError::Parameter`] unless there is at least one component, and either none or all of
    /// them have a finite mean and a finite deviation above 0.
    pub fn check(&self) -> Result<(), DataError> {
        let refuse = |parameter, got, expected| {
            Err(DataError::Parameter(ParameterError { parameter, got, expected }))
        };
        if self.dimensions == 0 {
            return refuse("dimensions", "0".to_owned(), "at least 1".to_owned());
        }
        let fits = |values: &[f32], ok: fn(f32) -> bool| {
            [0, self.dimensions].contains(&values.len()) && values.iter().all(|&value| ok(value))
        };
        if !fits(&self.mean, f32::is_finite) {
            let expected = format!("none or {} finite numbers", self.dimensions);
            return refuse("mean", format!("{} numbers", self.mean.len()), expected);
        }
        if self.std.len() != self.mean.len() || !fits(&self.std, |std| std.is_finite() && std > 0.0)
        {
            let expected = format!("{} finite numbers above 0", self.mean.len());
            return refuse("std", format!("{} numbers", self.std.len()), expected);
        }
        Ok(())
    }
}

/// The items of a catalogue of vectors: N×D.
#[derive(Debug, Clone)]
pub struct Vectors {
    catalogue: Catalogue,
    values: Array2<f32>,
    standardization: Standardization,
}

impl Vectors {
    /// Takes the vectors of a catalogue, and returns the items that are left out.
    ///
    /// # Errors
    /// - [`DataError::BadItems`] if some have values that are not finite, unless `skip_bad` is set;
    /// - [`DataError::Images`] if the source has no vectors;
    /// - [`DataError::Dimensions`] if they do not have the expected number of components;
    /// - [`DataError::Parameter`] if the standardisation is outside its range.
    pub fn prepare(
        catalogue: Catalogue,
        standardization: &Standardization,
        skip_bad: bool,
    ) -> Result<(Self, Vec<BadItem>), DataError> {
        standardization.check()?;
        let bad = catalogue.bad.clone();
        if let Some(first) = bad.first().filter(|_| !skip_bad) {
            return Err(DataError::BadItems { first: first.clone(), more: bad.len() - 1 });
        }
        let Some(values) = catalogue.vectors() else {
            return Err(match (catalogue.is_empty(), bad.first()) {
                _ if catalogue.has_texts() => {
                    DataError::Texts { text: catalogue.source, expected: "vectors" }
                }
                (false, _) => DataError::Images { text: catalogue.source },
                (true, None) => DataError::NoItems { what: "training" },
                (true, Some(first)) => DataError::AllBad { first: first.clone(), items: bad.len() },
            });
        };
        if values.ncols() != standardization.dimensions {
            return Err(DataError::Dimensions {
                text: catalogue.source,
                got: values.ncols(),
                expected: standardization.dimensions,
            });
        }
        Ok((Self { catalogue, values, standardization: standardization.clone() }, bad))
    }

    /// The catalogue of the items, without those that were left out.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The preprocessing that [`batch`](Self::batch) applies.
    pub fn standardization(&self) -> &Standardization {
        &self.standardization
    }

    /// Items as the input of an encoder: N×D values, standardised.
    ///
    /// # Panics
    /// If an item is not smaller than the number of items.
    pub fn batch(&self, items: &[u32]) -> Vec<f32> {
        let rows = items.iter().map(|&item| self.values.row(item as usize));
        rows.flat_map(|row| self.standardization.apply(row)).collect()
    }

    /// Items without standardisation, N×D: the baseline of an encoder.
    ///
    /// # Panics
    /// If an item is not smaller than the number of items.
    pub fn matrix(&self, items: &[u32]) -> Array2<f32> {
        let rows: Vec<usize> = items.iter().map(|&item| item as usize).collect();
        self.values.select(Axis(0), &rows)
    }

    /// The same vectors, standardised with the mean and deviation of some items. The deviation is
    /// at least 1e-6.
    ///
    /// # Errors
    /// [`DataError::NoItems`] if no item is given.
    ///
    /// # Panics
    /// If an item is not smaller than the number of items.
    pub fn standardized(mut self, items: &[u32]) -> Result<Self, DataError> {
        if items.is_empty() {
            return Err(DataError::NoItems { what: "the mean of the vectors" });
        }
        let count = items.len() as f64;
        let rows = || items.iter().map(|&item| self.values.row(item as usize));
        let mut mean = vec![0.0_f64; self.values.ncols()];
        for row in rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) / count);
        }
        let mut variance = vec![0.0_f64; mean.len()];
        for row in rows() {
            let centred = row.into_iter().zip(&mean).map(|(&value, mean)| f64::from(value) - mean);
            variance.iter_mut().zip(centred).for_each(|(sum, x)| *sum += x * x / count);
        }
        self.standardization.std =
            variance.into_iter().map(|variance| variance.sqrt().max(1e-6) as f32).collect();
        self.standardization.mean = mean.into_iter().map(|mean| mean as f32).collect();
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::embeddings::Embeddings;

    fn catalogue(folder: &std::path::Path, broken: bool) -> Catalogue {
        let path = folder.join("v.safetensors");
        let last = if broken { f32::INFINITY } else { 5.0 };
        Embeddings {
            vectors: ndarray::array![[1.0, 7.0], [3.0, 7.0], [last, 7.0]],
            labels: Some(["a", "b", "a"].map(str::to_owned).to_vec()),
            ids: None,
            model: None,
        }
        .save(&path)
        .unwrap();
        Source::Features { path, labels: None }.catalogue().unwrap()
    }

    #[test]
    fn vectors_are_handed_out_standardised_or_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (vectors, bad) =
            Vectors::prepare(catalogue(folder.path(), false), &Standardization::none(2), false)
                .unwrap();
        assert!(bad.is_empty());
        assert_eq!(vectors.batch(&[2, 0]), [5.0, 7.0, 1.0, 7.0]);
        // Mean 3 and deviation √(8/3); the second component is constant.
        let vectors = vectors.standardized(&[0, 1, 2]).unwrap();
        let x = 2.0 / (8.0_f32 / 3.0).sqrt();
        assert_eq!(vectors.batch(&[2, 0]), [x, 0.0, -x, 0.0]);
        assert_eq!(vectors.matrix(&[2]), ndarray::array![[5.0, 7.0]]);
        assert!(vectors.standardization().check().is_ok());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let prepare = |catalogue, dimensions, skip_bad| {
            Vectors::prepare(catalogue, &Standardization::none(dimensions), skip_bad)
                .map(|(vectors, bad)| (vectors.catalogue().len(), bad.len()))
                .map_err(|error| error.to_string())
        };
        let refused = prepare(catalogue(folder.path(), false), 3, false).unwrap_err();
        assert!(refused.contains("2 components: expected 3"), "{refused}");
        let refused = prepare(catalogue(folder.path(), true), 2, false).unwrap_err();
        assert!(refused.contains("row 2 of") && refused.contains("inf"), "{refused}");
        assert_eq!(prepare(catalogue(folder.path(), true), 2, true), Ok((2, 1)));
        let refused = prepare(Source::Glyphs.catalogue().unwrap(), 2, false).unwrap_err();
        assert!(refused.contains("holds images, not vectors"), "{refused}");
    }
}
