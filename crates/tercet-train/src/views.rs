//! Several views of one picture, whose embeddings are averaged.

use serde::{Deserialize, Serialize};
use tercet::{ParameterError, named};

use crate::data::{DataError, Input, Preprocessing, Window};
use crate::encoder::InputShape;

/// Which views of a picture are embedded and averaged ("test-time augmentation").
///
/// The mean over V views is one embedding, which costs V forward passes. Crops follow "In Defense
/// of the Triplet Loss" (arXiv 1703.07737, section 4): the picture is resized to 9/8 of the
/// encoder's input and cropped at the four corners and in the centre. Whether that improves the
/// figures depends on the training: evaluate with `tercet eval --views` before relying on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Views {
    /// The picture as it is: one view.
    #[default]
    Single,
    /// The picture and its mirror image: 2 views.
    Flip,
    /// Four corners and the centre: 5 views.
    Crops,
    /// The five crops and their mirror images: 10 views.
    CropsFlip,
}

named!(
    Views,
    "views",
    [Single = "single", Flip = "flip", Crops = "crops", CropsFlip = "crops-flip"]
);

impl Views {
    /// The preprocessing of pictures before views are cropped from them: for crops, 9/8 of the
    /// encoder's width and height.
    pub fn preprocessing(self, input: &Preprocessing) -> Preprocessing {
        let larger = |side: u32| match self {
            Self::Single | Self::Flip => side,
            Self::Crops | Self::CropsFlip => (9 * side).div_ceil(8),
        };
        Preprocessing { width: larger(input.width), height: larger(input.height), ..input.clone() }
    }

    /// The input from which views are cropped: [`preprocessing`](Self::preprocessing) of pictures,
    /// and vectors and texts as they are.
    ///
    /// # Errors
    /// Several views of vectors or texts, which have only one.
    pub fn input(self, input: &Input) -> Result<Input, DataError> {
        match (input, self) {
            (Input::Images(input), views) => Ok(Input::Images(views.preprocessing(input))),
            (Input::Vectors(_) | Input::Texts(_), Self::Single) => Ok(input.clone()),
            (Input::Vectors(_) | Input::Texts(_), views) => {
                let items = if matches!(input, Input::Texts(_)) { "texts" } else { "vectors" };
                Err(DataError::Parameter(ParameterError {
                    parameter: "views",
                    got: views.to_string(),
                    expected: format!("single, since the model takes {items}, which have no other"),
                }))
            }
        }
    }

    /// The views as windows of `width`×`height` in a picture of size `from`.
    pub(crate) fn windows(self, from: InputShape, width: usize, height: usize) -> Vec<Window> {
        let (right, bottom) = (from.width - width, from.height - height);
        let corners = match self {
            Self::Single | Self::Flip => vec![(0, 0)],
            Self::Crops | Self::CropsFlip => {
                vec![(0, 0), (right, 0), (0, bottom), (right, bottom), (right / 2, bottom / 2)]
            }
        };
        let flips: &[bool] = match self {
            Self::Single | Self::Crops => &[false],
            Self::Flip | Self::CropsFlip => &[false, true],
        };
        let cut = |&flip: &bool| {
            corners.iter().map(move |&(left, top)| Window { left, top, width, height, flip })
        };
        flips.iter().flat_map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_reach_every_corner_of_the_larger_picture() {
        let input = Preprocessing::new(28, 20, 1);
        let larger = Views::CropsFlip.preprocessing(&input);
        assert_eq!((larger.width, larger.height), (32, 23));
        let windows = Views::CropsFlip.windows(Input::Images(larger).shape(), 28, 20);
        assert_eq!(windows.len(), 10);
        let reach = |edge: fn(&Window) -> usize| windows.iter().map(edge).max();
        assert_eq!(reach(|window| window.left + window.width), Some(32));
        assert_eq!(reach(|window| window.top + window.height), Some(23));
        assert_eq!(windows.iter().filter(|window| window.flip).count(), 5);
    }

    #[test]
    fn names_are_read_back() {
        for (name, views) in Views::ALL.map(|views| (views.name(), views)) {
            assert_eq!((name.parse::<Views>().unwrap(), views.to_string()), (views, name.into()));
        }
        let message = "ten".parse::<Views>().unwrap_err().to_string();
        assert!(message.contains("single, flip, crops, crops-flip"), "{message}");
    }
}
