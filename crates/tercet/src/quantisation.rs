//! Embeddings in fewer bits: 8 bits per dimension (FaceNet's 128 bytes), or 1.
//!
//! To measure the loss of quality, evaluate [`Quantiser::decode`]d vectors with any protocol: their
//! squared Euclidean distances are, up to a factor, the distances between codes.

use ndarray::{Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::named;

/// The number of bits per dimension, and their scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Quantisation {
    /// `8-bit`: 256 levels from the smallest to the largest value of each dimension.
    #[default]
    #[serde(rename = "8-bit")]
    EightBit,
    /// `8-bit-global`: 256 levels from the smallest to the largest value of all dimensions.
    #[serde(rename = "8-bit-global")]
    EightBitGlobal,
    /// `1-bit`: whether a value is at least 0.
    #[serde(rename = "1-bit")]
    OneBit,
}

named!(
    Quantisation,
    "quantisation",
    [EightBit = "8-bit", EightBitGlobal = "8-bit-global", OneBit = "1-bit",]
);

impl Quantisation {
    /// The number of bytes of a vector with this number of dimensions.
    pub fn bytes(self, dimensions: usize) -> usize {
        match self {
            Self::EightBit | Self::EightBitGlobal => dimensions,
            Self::OneBit => dimensions.div_ceil(8),
        }
    }
}

/// Turns vectors into codes and back. It is fitted on one set and can be used on any.
///
/// A value x of dimension i has the 8-bit code round((x − low(i)) / step(i)), limited to 0..255,
/// and decodes to low(i) + code·step(i), with an error of at most step(i)/2 within the range of the
/// fitted set. The 1-bit code is 1 for x ≥ 0 and decodes to 1 or −1; dimension i is bit i mod 8 of
/// byte i/8.
///
/// ```
/// use ndarray::array;
/// use tercet::quantisation::{Quantisation, Quantiser};
/// let vectors = array![[0.0_f32, -1.0], [2.55, 1.0]];
/// let quantiser = Quantiser::fit(Quantisation::EightBit, vectors.view())?;
/// let codes = quantiser.encode(vectors.view())?;
/// assert_eq!(codes, array![[0_u8, 0], [255, 255]]);
/// assert!((quantiser.decode(codes.view())?[[1, 0]] - 2.55).abs() < 1e-6);
/// # Ok::<(), tercet::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantiser {
    quantisation: Quantisation,
    low: Vec<f32>,
    step: Vec<f32>,
}

impl Quantiser {
    /// Fits the range of values.
    ///
    /// # Shapes
    /// - embeddings: N×D
    ///
    /// # Errors
    /// No rows; vectors that are not finite or without dimensions.
    pub fn fit(quantisation: Quantisation, embeddings: ArrayView2<f32>) -> Result<Self, Error> {
        check(embeddings)?;
        if embeddings.nrows() == 0 {
            return Err(Error::NotEnough {
                what: "a quantisation",
                expected: "at least one row".to_owned(),
                got: "none".to_owned(),
            });
        }
        let range = |values: &mut dyn Iterator<Item = f32>| {
            values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| {
                (low.min(x), high.max(x))
            })
        };
        let ranges: Vec<(f32, f32)> = match quantisation {
            Quantisation::EightBit => embeddings
                .columns()
                .into_iter()
                .map(|column| range(&mut column.iter().copied()))
                .collect(),
            Quantisation::EightBitGlobal => {
                vec![range(&mut embeddings.iter().copied()); embeddings.ncols()]
            }
            Quantisation::OneBit => vec![(-1.0, 1.0); embeddings.ncols()],
        };
        // Each end is divided first, because the width of the range of f32 does not fit into f32.
        let step = |&(low, high): &(f32, f32)| (high / 255.0) - (low / 255.0);
        Ok(Self {
            quantisation,
            step: ranges.iter().map(step).collect(),
            low: ranges.into_iter().map(|(low, _)| low).collect(),
        })
    }

    /// The quantisation that it was fitted for.
    pub fn quantisation(&self) -> Quantisation {
        self.quantisation
    }

    /// D, the dimensions of the vectors that it takes.
    pub fn dimensions(&self) -> usize {
        self.low.len()
    }

    /// The codes of the rows.
    ///
    /// # Shapes
    /// - embeddings: N×D; result: N × [bytes](Quantisation::bytes)
    ///
    /// # Errors
    /// Vectors of another dimension than those it was fitted on, or not finite.
    pub fn encode(&self, embeddings: ArrayView2<f32>) -> Result<Array2<u8>, Error> {
        self.matches(embeddings.ncols(), self.dimensions())?;
        check(embeddings)?;
        let bytes = self.quantisation.bytes(self.dimensions());
        let mut codes = Array2::zeros((embeddings.nrows(), bytes));
        for (row, mut code) in embeddings.outer_iter().zip(codes.outer_iter_mut()) {
            for (i, &x) in row.iter().enumerate() {
                match self.quantisation {
                    Quantisation::OneBit => code[i / 8] |= u8::from(x >= 0.0) << (i % 8),
                    // A step of 0 gives 0/0, which becomes 0; `as` limits values that are out of
                    // range.
                    _ => code[i] = ((x - self.low[i]) / self.step[i]).round() as u8,
                }
            }
        }
        Ok(codes)
    }

    /// The vectors that codes represent.
    ///
    /// # Shapes
    /// - codes: N × [bytes](Quantisation::bytes); result: N×D
    ///
    /// # Errors
    /// Codes of another length.
    pub fn decode(&self, codes: ArrayView2<u8>) -> Result<Array2<f32>, Error> {
        self.matches(codes.ncols(), self.quantisation.bytes(self.dimensions()))?;
        Ok(Array2::from_shape_fn((codes.nrows(), self.dimensions()), |(row, i)| {
            match self.quantisation {
                Quantisation::OneBit if codes[[row, i / 8]] >> (i % 8) & 1 == 1 => 1.0,
                Quantisation::OneBit => -1.0,
                _ => self.low[i] + f32::from(codes[[row, i]]) * self.step[i],
            }
        }))
    }

    /// The distances between codes, without decoding them: squared Euclidean for 8 bits, Hamming
    /// (the number of bits that differ) for 1 bit.
    ///
    /// # Shapes
    /// - queries: Q × [bytes](Quantisation::bytes); gallery: G × the same; result: Q×G
    ///
    /// # Errors
    /// Codes of another length.
    pub fn distances(
        &self,
        queries: ArrayView2<u8>,
        gallery: ArrayView2<u8>,
    ) -> Result<Array2<f32>, Error> {
        let bytes = self.quantisation.bytes(self.dimensions());
        self.matches(queries.ncols(), bytes)?;
        self.matches(gallery.ncols(), bytes)?;
        Ok(Array2::from_shape_fn((queries.nrows(), gallery.nrows()), |(q, g)| {
            self.distance(queries.row(q), gallery.row(g))
        }))
    }

    fn distance(&self, x: ArrayView1<u8>, y: ArrayView1<u8>) -> f32 {
        let pairs = x.iter().zip(y);
        match self.quantisation {
            Quantisation::OneBit => pairs.map(|(x, y)| (x ^ y).count_ones()).sum::<u32>() as f32,
            Quantisation::EightBitGlobal => {
                let squared: u64 = pairs.map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2)).sum();
                let step = self.step.first().copied().unwrap_or(0.0);
                (squared as f64 * f64::from(step).powi(2)) as f32
            }
            Quantisation::EightBit => pairs
                .zip(&self.step)
                .map(|((x, y), step)| (f32::from(x.abs_diff(*y)) * step).powi(2))
                .sum(),
        }
    }

    fn matches(&self, got: usize, expected: usize) -> Result<(), Error> {
        if got == expected {
            return Ok(());
        }
        Err(Error::DimensionMismatch { queries: got, gallery: expected })
    }
}

fn check(embeddings: ArrayView2<f32>) -> Result<(), Error> {
    if embeddings.ncols() == 0 {
        return Err(Error::NoDimensions);
    }
    match embeddings.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &value)) => Err(Error::NotFinite { row, column, value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Distance, Metric};

    fn vectors(rows: usize, dimensions: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, dimensions), |(i, j)| {
            ((i * 131 + j * 71 + i * i * (j + 3)) % 97) as f32 / 13.0 - 3.0
        })
    }

    #[test]
    fn facenet_fits_in_128_bytes() {
        assert_eq!(Quantisation::EightBit.bytes(128), 128);
        assert_eq!(Quantisation::OneBit.bytes(128), 16);
        assert_eq!(Quantisation::OneBit.bytes(129), 17);
        for quantisation in Quantisation::ALL {
            assert_eq!(quantisation.name().parse(), Ok(quantisation));
        }
    }

    #[test]
    fn values_beyond_the_range_are_cut() {
        let fitted = ndarray::array![[0.0_f32, 5.0], [1.0, 5.0]];
        let quantiser = Quantiser::fit(Quantisation::EightBit, fitted.view()).unwrap();
        let codes = quantiser.encode(ndarray::array![[-9.0_f32, 5.0], [9.0, 5.0]].view()).unwrap();
        assert_eq!(codes, ndarray::array![[0_u8, 0], [255, 0]]);
        let decoded = quantiser.decode(codes.view()).unwrap();
        assert_eq!(decoded, ndarray::array![[0.0_f32, 5.0], [1.0, 5.0]]);
    }

    #[test]
    fn wrong_vectors_and_codes_are_refused() {
        let quantiser = Quantiser::fit(Quantisation::OneBit, vectors(3, 9).view()).unwrap();
        assert!(quantiser.encode(vectors(3, 8).view()).is_err());
        assert!(quantiser.decode(Array2::zeros((2, 9)).view()).is_err());
        assert!(Quantiser::fit(Quantisation::EightBit, Array2::zeros((0, 3)).view()).is_err());
        let mut nan = vectors(3, 9);
        nan[[2, 0]] = f32::NAN;
        assert!(matches!(quantiser.encode(nan.view()), Err(Error::NotFinite { row: 2, .. })));
    }

    proptest! {
        #[test]
        fn distances_of_codes_are_those_of_what_they_stand_for(
            rows in 2_usize..12,
            dimensions in 1_usize..20,
        ) {
            let x = vectors(rows, dimensions);
            for quantisation in Quantisation::ALL {
                let quantiser = Quantiser::fit(quantisation, x.view()).unwrap();
                let codes = quantiser.encode(x.view()).unwrap();
                let decoded = quantiser.decode(codes.view()).unwrap();
                let got = quantiser.distances(codes.view(), codes.view()).unwrap();
                let metric = Metric::from(Distance::SquaredEuclidean);
                let expected = metric.distances(decoded.view(), decoded.view()).unwrap();
                let factor = if quantisation == Quantisation::OneBit { 4.0 } else { 1.0 };
                for (got, expected) in got.iter().zip(&expected) {
                    prop_assert!((got * factor - expected).abs() <= 1e-4 * expected.max(1.0));
                }
                if quantisation != Quantisation::OneBit {
                    for ((row, i), &value) in decoded.indexed_iter() {
                        let off = (value - x[[row, i]]).abs();
                        prop_assert!(off <= quantiser.step[i] * 0.501);
                    }
                }
            }
        }
    }
}
