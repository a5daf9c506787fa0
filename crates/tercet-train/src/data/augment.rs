//! Augmentation: random changes of the training images, so that an encoder learns to ignore them.
//!
//! The random numbers for an image are a function of seed, step and row of the batch alone: a
//! resumed run gets the same images as an uninterrupted one, whichever thread prepares the batch.

use std::fmt;
use std::str::FromStr;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tercet::ParameterError;

use super::{DataError, Preprocessing};

mod change;

pub(crate) use change::Change;

/// The random changes of training images and their largest amounts. 0 switches a change off.
///
/// Written as the name of a preset, followed after a colon by the values that differ from it:
/// `glyph:rotate=20,invert=0.5`.
///
/// ```
/// use tercet_train::data::Augmentation;
/// let augmentation: Augmentation = "reid:erase=0.5".parse()?;
/// assert_eq!(augmentation, Augmentation { erase: 0.5, ..Augmentation::REID });
/// assert_eq!(augmentation.to_string(), "reid:erase=0.5");
/// # Ok::<(), tercet_train::data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augmentation {
    /// The image is enlarged by this factor, then cropped to its original size at a random
    /// position. 1.125 is the 9/8 of "In Defense"; 0 or 1 is none.
    pub crop: f32,
    /// Probability that left and right are exchanged.
    pub flip: f32,
    /// Largest shift in either direction, as a share of the side.
    pub shift: f32,
    /// The image is enlarged or shrunk by a factor of up to 1 + this.
    pub scale: f32,
    /// Largest rotation in either direction, in degrees.
    pub rotate: f32,
    /// Largest shear in either direction, in degrees.
    pub shear: f32,
    /// Brightness, contrast and saturation are multiplied by a factor from 1 − this to 1 + this;
    /// the hue is rotated by up to a tenth of this share of the circle. Grey images: brightness and
    /// contrast only.
    pub colour: f32,
    /// Probability that the colours are removed.
    pub gray: f32,
    /// Probability that light and dark are exchanged.
    pub invert: f32,
    /// Probability that a rectangle is set to the mean colour. It has 2 to 20 % of the image's
    /// area, a random position and a random aspect ratio of at most 3.3 (random erasing, arXiv
    /// 1708.04896).
    pub erase: f32,
    /// What is outside of the image when it is moved.
    pub outside: Outside,
}

/// What is outside of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outside {
    /// The image, mirrored at its border.
    #[default]
    Mirror,
    /// The background: the mean of the two middle ones of the four corners' values.
    Paper,
}

/// The name of a number, its field, and its largest value.
type Field = (&'static str, fn(&mut Augmentation) -> &mut f32, f32);

const FIELDS: [Field; 10] = [
    ("crop", |a| &mut a.crop, 4.0),
    ("flip", |a| &mut a.flip, 1.0),
    ("shift", |a| &mut a.shift, 1.0),
    ("scale", |a| &mut a.scale, 4.0),
    ("rotate", |a| &mut a.rotate, 180.0),
    ("shear", |a| &mut a.shear, 60.0),
    ("colour", |a| &mut a.colour, 1.0),
    ("gray", |a| &mut a.gray, 1.0),
    ("invert", |a| &mut a.invert, 1.0),
    ("erase", |a| &mut a.erase, 1.0),
];

impl Augmentation {
    /// Images are not changed.
    pub const NONE: Self = Self {
        crop: 0.0,
        flip: 0.0,
        shift: 0.0,
        scale: 0.0,
        rotate: 0.0,
        shear: 0.0,
        colour: 0.0,
        gray: 0.0,
        invert: 0.0,
        erase: 0.0,
        outside: Outside::Mirror,
    };

    /// For characters, drawings, icons on paper: left and right matter, colours may matter.
    pub const GLYPH: Self = Self {
        shift: 0.06,
        scale: 0.15,
        rotate: 10.0,
        shear: 10.0,
        outside: Outside::Paper,
        ..Self::NONE
    };

    /// For photographs of things, animals, faces: crop from 9/8, flip, small changes of colour.
    pub const PHOTO: Self = Self { crop: 1.125, flip: 0.5, colour: 0.2, ..Self::NONE };

    /// For people seen by cameras: crop from 9/8 and flip, as in "In Defense".
    pub const REID: Self = Self { crop: 1.125, flip: 0.5, ..Self::NONE };

    /// The presets with their names.
    pub const PRESETS: [(&'static str, Self); 4] = [
        ("none", Self::NONE),
        ("glyph", Self::GLYPH),
        ("photo", Self::PHOTO),
        ("reid", Self::REID),
    ];

    /// Whether images are not changed.
    pub fn is_none(&self) -> bool {
        Self { outside: Outside::Mirror, ..*self } == Self::NONE
    }

    /// Draws the change of the image in a row of the batch of a step.
    pub(crate) fn draw(&self, seed: u64, step: u64, row: u64, to: &Preprocessing) -> Change {
        // The second number, 2, separates these random numbers from those of the sampler, which has
        // 0 and 1 there.
        let mut key = [0; 32];
        for (part, number) in key.chunks_exact_mut(8).zip([seed, 2, step, row]) {
            part.copy_from_slice(&number.to_le_bytes());
        }
        Change::draw(self, &mut ChaCha8Rng::from_seed(key), to)
    }

    /// The preset that differs in the fewest numbers, with its name.
    fn nearest_preset(&self) -> (&'static str, Self) {
        let differing = |preset: &Self| {
            let (mut ours, mut theirs) = (*self, *preset);
            let numbers = FIELDS.iter().filter(|(_, get, _)| *get(&mut ours) != *get(&mut theirs));
            numbers.count()
        };
        let same_outside = Self::PRESETS.into_iter().filter(|(_, p)| p.outside == self.outside);
        same_outside.min_by_key(|(_, preset)| differing(preset)).unwrap_or(("none", Self::NONE))
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, mut preset) = self.nearest_preset();
        f.write_str(name)?;
        let mut ours = *self;
        let mut before = ':';
        for (field, get, _) in FIELDS {
            if *get(&mut ours) != *get(&mut preset) {
                write!(f, "{before}{field}={}", get(&mut ours))?;
                before = ',';
            }
        }
        Ok(())
    }
}

impl FromStr for Augmentation {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let refuse = |got: &str, expected: String| {
            DataError::Parameter(ParameterError {
                parameter: "augment",
                got: format!("`{got}`"),
                expected,
            })
        };
        let (name, changes) = text.split_once(':').unwrap_or((text, ""));
        let preset = Self::PRESETS.iter().find(|(known, _)| *known == name);
        let Some(&(_, mut augmentation)) = preset else {
            let names = Self::PRESETS.map(|(name, _)| name).join(", ");
            return Err(refuse(name, format!("one of {names}, such as photo or glyph:rotate=20")));
        };
        for change in changes.split(',').filter(|change| !change.is_empty()) {
            let (field, value) = change.split_once('=').unwrap_or((change, ""));
            let Some((_, get, most)) = FIELDS.iter().find(|(known, ..)| *known == field.trim())
            else {
                let names = FIELDS.map(|(name, ..)| name).join(", ");
                return Err(refuse(change, format!("NAME=NUMBER, where NAME is one of {names}")));
            };
            *get(&mut augmentation) = match value.trim().parse::<f32>() {
                Ok(value) if (0.0..=*most).contains(&value) => value,
                _ => return Err(refuse(change, format!("a number from 0 to {most}"))),
            };
            if field.trim() == "crop"
                && (0.0..1.0).contains(&augmentation.crop)
                && augmentation.crop != 0.0
            {
                return Err(refuse(
                    change,
                    "0, or a factor of at least 1 such as 1.125".to_owned(),
                ));
            }
        }
        Ok(augmentation)
    }
}

impl Serialize for Augmentation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Augmentation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A number from −1 to 1.
fn signed(rng: &mut ChaCha8Rng) -> f32 {
    rng.random_range(-1.0..=1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["none", "glyph", "photo", "reid", "reid:erase=0.5", "glyph:rotate=20,invert=1"]
        {
            assert_eq!(text.parse::<Augmentation>().unwrap().to_string(), text);
        }
        let off: Augmentation = "photo:colour=0".parse().unwrap();
        assert_eq!(off, Augmentation::REID);
        assert_eq!(off.to_string(), "reid");
        assert!(
            "glyph:shift=0,scale=0,rotate=0,shear=0".parse::<Augmentation>().unwrap().is_none()
        );
        for (text, part) in [
            ("glyf", "one of none, glyph, photo, reid"),
            ("glyph:turn=3", "NAME is one of crop, flip"),
            ("glyph:rotate", "a number from 0 to 180"),
            ("glyph:rotate=181", "a number from 0 to 180"),
            ("photo:flip=nan", "a number from 0 to 1"),
            ("photo:crop=0.5", "at least 1"),
        ] {
            let message = text.parse::<Augmentation>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn what_is_drawn_depends_on_seed_step_and_row_alone() {
        let to = Preprocessing::new(8, 8, 3);
        let all: Augmentation = "photo:rotate=20,erase=0.5".parse().unwrap();
        let first = all.draw(1, 2, 3, &to);
        assert_eq!(first, all.draw(1, 2, 3, &to));
        for other in [all.draw(0, 2, 3, &to), all.draw(1, 3, 3, &to), all.draw(1, 2, 4, &to)] {
            assert_ne!(first, other);
        }
    }
}
