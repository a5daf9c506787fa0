//! What a network in an ONNX file wants to see.

use std::fmt;
use std::str::FromStr;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{GraphProto, ValueInfoProto};

use super::OnnxError;
use crate::data::{DataError, Preprocessing};

/// The order of the axes of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// N×C×H×W, as PyTorch writes.
    Nchw,
    /// N×H×W×C, as TensorFlow writes.
    Nhwc,
}

impl Layout {
    const NAMES: [(&str, Self); 2] = [("nchw", Self::Nchw), ("nhwc", Self::Nhwc)];

    /// Where channels, rows and columns lie.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Nchw => [1, 2, 3],
            Self::Nhwc => [3, 1, 2],
        }
    }
}

impl FromStr for Layout {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, layout)| layout).ok_or_else(|| DataError::Parameter {
            parameter: "layout",
            got: format!("`{text}`"),
            expected: Self::NAMES.map(|(name, _)| name).join(", "),
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        })
    }
}

/// The images that enter a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) layout: Layout,
    /// Images at once; none where any number will do.
    pub(super) batch: Option<usize>,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Seen {
    /// Reads a graph's input; `size` (width, height) and `layout` tell what the file does not.
    /// The error is what is wrong with the file, or with the options.
    pub(super) fn of(
        graph: &GraphProto,
        size: Option<(u32, u32)>,
        layout: Option<Layout>,
    ) -> Result<Self, Refusal> {
        // Old files list their weights among the inputs.
        let weights: Vec<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
        let inputs: Vec<&ValueInfoProto> =
            graph.input.iter().filter(|input| !weights.contains(&&*input.name)).collect();
        let &[input] = &inputs[..] else {
            let names: Vec<_> = inputs.iter().map(|input| format!("`{}`", input.name)).collect();
            return Err(Refusal::File(format!(
                "it has {} inputs ({}): expected one, of images",
                inputs.len(),
                names.join(", ")
            )));
        };
        let Some(TensorType(tensor)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
        else {
            return Err(Refusal::File(format!("its input `{}` is no tensor", input.name)));
        };
        let axes = tensor.shape.as_ref().map(|shape| &shape.dim[..]).unwrap_or_default();
        let sides: Vec<Option<usize>> = axes
            .iter()
            .map(|axis| match axis.value {
                Some(DimValue(side)) => usize::try_from(side).ok().filter(|&side| side > 0),
                _ => None,
            })
            .collect();
        let told = Told { name: &input.name, kind: tensor.elem_type, sides: &sides };
        if tensor.elem_type != DataType::Float as i32 || sides.len() != 4 {
            return Err(Refusal::File(told.refuse("one of float32 images, N×C×H×W or N×H×W×C")));
        }

        let coloured = |axis: usize| matches!(sides[axis], Some(1 | 3));
        let layout = match layout {
            Some(layout) => layout,
            None if coloured(1) => Layout::Nchw,
            None if coloured(3) => Layout::Nhwc,
            None if sides[1].is_none() || sides[3].is_none() => {
                return Err(Refusal::Option {
                    option: "layout",
                    got: format!("unset, and {told} does not tell"),
                    expected: "nchw or nhwc".to_owned(),
                });
            }
            None => return Err(Refusal::File(told.refuse("images of 1 or 3 channels"))),
        };
        let [channels, rows, columns] = layout.axes();
        let channels = sides[channels].unwrap_or(3);
        if ![1, 3].contains(&channels) {
            return Err(Refusal::File(told.refuse(&format!("1 or 3 channels as {layout}"))));
        }
        let side = |axis: usize, asked: Option<u32>| match (sides[axis], asked) {
            (Some(side), None) => Ok(side),
            (None, Some(asked)) => Ok(asked as usize),
            (Some(side), Some(asked)) if side == asked as usize => Ok(side),
            (None, None) => Err(Refusal::Option {
                option: "size",
                got: format!("unset, and {told} takes any"),
                expected: "WIDTHxHEIGHT in pixels, as the encoder was trained with".to_owned(),
            }),
            (Some(_), Some(_)) => Err(Refusal::Option {
                option: "size",
                got: size.map_or_else(String::new, |(width, height)| format!("{width}x{height}")),
                expected: format!("that of {told}; drop it"),
            }),
        };
        Ok(Self {
            layout,
            batch: sides[0],
            channels,
            height: side(rows, size.map(|(_, height)| height))?,
            width: side(columns, size.map(|(width, _)| width))?,
        })
    }

    /// Checks that images prepared in this way enter the network.
    pub(super) fn must_be(&self, preprocessing: &Preprocessing) -> Result<(), String> {
        let Preprocessing { width, height, channels, .. } = *preprocessing;
        let prepared = [channels as usize, height as usize, width as usize];
        let taken = [self.channels, self.height, self.width];
        let text = |sides: [usize; 3]| sides.map(|side| side.to_string()).join("×");
        if prepared == taken {
            return Ok(());
        }
        Err(format!("it takes images of {}, its metadata prepares {}", text(taken), text(prepared)))
    }

    /// The shape of a batch.
    pub(super) fn shape(&self, batch: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [batch, self.channels, self.height, self.width],
            Layout::Nhwc => [batch, self.height, self.width, self.channels],
        }
    }
}

/// Why an input does not do.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// The file is no encoder of images.
    File(String),
    /// An option contradicts it, or is missing.
    Option { option: &'static str, got: String, expected: String },
}

/// An input as the file tells it.
struct Told<'a> {
    name: &'a str,
    kind: i32,
    sides: &'a [Option<usize>],
}

impl Told<'_> {
    fn refuse(&self, expected: &str) -> String {
        format!("{self}: expected {expected}")
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides: Vec<_> = self
            .sides
            .iter()
            .map(|side| side.map_or_else(|| "?".to_owned(), |side| side.to_string()))
            .collect();
        let kind = DataType::try_from(self.kind).unwrap_or(DataType::Undefined).as_str_name();
        write!(f, "its input `{}` ({} {})", self.name, kind.to_lowercase(), sides.join("×"))
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value::DimParam};
    use tract_onnx::pb::{TensorShapeProto, TypeProto, type_proto};

    use super::*;

    fn value(name: &str, kind: DataType, sides: &[i64]) -> ValueInfoProto {
        let axis = |&side: &i64| Dimension {
            value: Some(if side > 0 { DimValue(side) } else { DimParam("n".to_owned()) }),
            ..Default::default()
        };
        let shape = Some(TensorShapeProto { dim: sides.iter().map(axis).collect() });
        let tensor = type_proto::Tensor { elem_type: kind as i32, shape };
        let kind = TypeProto { value: Some(TensorType(tensor)), ..Default::default() };
        ValueInfoProto { name: name.to_owned(), r#type: Some(kind), ..Default::default() }
    }

    fn graph(sides: &[i64]) -> GraphProto {
        GraphProto { input: vec![value("x", DataType::Float, sides)], ..Default::default() }
    }

    #[test]
    fn layout_batch_and_size_are_read_from_the_file() {
        let read = |sides: &[i64], size| Seen::of(&graph(sides), size, None).unwrap();
        let expected = Seen {
            layout: Layout::Nchw,
            batch: None,
            channels: 3,
            height: 128,
            width: 64,
        };
        assert_eq!(read(&[-1, 3, 128, 64], None), expected);
        assert_eq!(read(&[-1, 3, -1, -1], Some((64, 128))), expected);
        assert_eq!(read(&[1, 3, 128, 64], None), Seen { batch: Some(1), ..expected });
        assert_eq!(read(&[4, 128, 64, 1], None).shape(4), [4, 128, 64, 1]);
    }

    #[test]
    fn other_inputs_are_refused_with_what_they_are() {
        let refused = |sides: &[i64], size| match Seen::of(&graph(sides), size, None) {
            Err(Refusal::File(reason)) => reason,
            Err(Refusal::Option { option, got, expected }) => {
                format!("{option} is {got}: expected {expected}")
            }
            Ok(input) => panic!("{input:?} was taken"),
        };
        assert_eq!(
            refused(&[-1, 512], None),
            "its input `x` (float ?×512): expected one of float32 images, N×C×H×W or N×H×W×C"
        );
        assert_eq!(
            refused(&[-1, 7, 32, 32], None),
            "its input `x` (float ?×7×32×32): expected images of 1 or 3 channels"
        );
        assert!(refused(&[-1, 3, -1, -1], None).starts_with("size is unset"));
        assert!(refused(&[-1, -1, -1, -1], None).starts_with("layout is unset"));
        assert_eq!(
            refused(&[-1, 3, 32, 32], Some((64, 64))),
            "size is 64x64: expected that of its input `x` (float ?×3×32×32); drop it"
        );
        let mut two = graph(&[-1, 3, 8, 8]);
        two.input.push(value("mask", DataType::Int64, &[-1]));
        let Err(Refusal::File(reason)) = Seen::of(&two, None, None) else { panic!("taken") };
        assert_eq!(reason, "it has 2 inputs (`x`, `mask`): expected one, of images");
    }
}
