//! Reads the shape of a network's input from an ONNX file.

use std::fmt;

use tercet::ParameterError;
use tercet_train::data::Input;
use tercet_train::trainer::ImageSize;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{GraphProto, ValueInfoProto};

use crate::Layout;

/// The largest batch size that a file may require; smaller batches are padded to the required size.
const MOST: usize = 1024;

impl Layout {
    /// The axes of channels, rows and columns.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Nchw => [1, 2, 3],
            Self::Nhwc => [3, 1, 2],
        }
    }
}

/// The items that a network accepts, and the required batch size; `None` if any batch size is
/// accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) batch: Option<usize>,
    pub(crate) item: Item,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    Image { layout: Layout, channels: usize, size: ImageSize },
    Vector { dimensions: usize },
}

/// Why an input cannot be used.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The file is no encoder of images or vectors.
    File(String),
    /// An option contradicts the file, or is missing.
    Option(ParameterError),
}

impl Seen {
    /// Reads the input of a graph; `size` and `layout` are used where the file leaves them open.
    pub(crate) fn of(
        graph: &GraphProto,
        size: Option<ImageSize>,
        layout: Option<Layout>,
    ) -> Result<Self, Refusal> {
        // Old files list their weights among the inputs.
        let weights: Vec<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
        let inputs: Vec<&ValueInfoProto> =
            graph.input.iter().filter(|input| !weights.contains(&&*input.name)).collect();
        let &[input] = &inputs[..] else {
            let names: Vec<_> = inputs.iter().map(|input| format!("`{}`", input.name)).collect();
            return Err(Refusal::File(format!(
                "it has {} inputs ({}): expected one, of images or vectors",
                inputs.len(),
                names.join(", ")
            )));
        };
        let told = Told::of(input)?;
        let item = match (told.kind == DataType::Float as i32, told.sides.len()) {
            (true, 4) => told.image(size, layout)?,
            (true, 2) => told.vector(size, layout)?,
            _ => {
                let expected = "float32, as images N×C×H×W or N×H×W×C, or as vectors N×D";
                return Err(told.refuse(expected));
            }
        };
        match told.sides[0] {
            Some(batch) if batch > MOST => {
                Err(told.refuse(&format!("at most {MOST} items at once, or any number")))
            }
            batch => Ok(Self { batch, item }),
        }
    }

    /// Checks that items after this preprocessing have the shape of the network's input.
    pub(crate) fn must_be(&self, prepared: &Input) -> Result<(), String> {
        let taken = self.item.sides();
        let expected = match prepared {
            Input::Images(prepared) => {
                vec![prepared.channels as usize, prepared.height as usize, prepared.width as usize]
            }
            Input::Vectors(prepared) => vec![prepared.dimensions],
            Input::Texts(_) => return Err("its metadata prepares texts".to_owned()),
        };
        let text =
            |sides: &[usize]| sides.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
        if taken == expected {
            return Ok(());
        }
        let (taken, expected) = (text(&taken), text(&expected));
        Err(format!("it takes items of {taken}, its metadata prepares {expected}"))
    }

    /// The shape of a batch of this many items.
    pub(crate) fn shape(&self, batch: usize) -> Vec<usize> {
        match self.item {
            Item::Image { layout: Layout::Nhwc, channels, size: ImageSize { height, width } } => {
                vec![batch, height as usize, width as usize, channels]
            }
            item => [vec![batch], item.sides()].concat(),
        }
    }
}

impl Item {
    /// The shape of one item: C×H×W or D.
    fn sides(self) -> Vec<usize> {
        match self {
            Self::Image { channels, size: ImageSize { height, width }, .. } => {
                vec![channels, height as usize, width as usize]
            }
            Self::Vector { dimensions } => vec![dimensions],
        }
    }
}

/// An input as the file describes it; the length of an axis is `None` if it may have any.
struct Told<'a> {
    name: &'a str,
    kind: i32,
    sides: Vec<Option<usize>>,
}

impl<'a> Told<'a> {
    fn of(input: &'a ValueInfoProto) -> Result<Self, Refusal> {
        let Some(TensorType(tensor)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
        else {
            return Err(Refusal::File(format!("its input `{}` is no tensor", input.name)));
        };
        let axes = tensor.shape.as_ref().map(|shape| &shape.dim[..]).unwrap_or_default();
        let side = |value: &_| match value {
            Some(DimValue(side)) => usize::try_from(*side).ok().filter(|&side| side > 0),
            _ => None,
        };
        let sides = axes.iter().map(|axis| side(&axis.value)).collect();
        Ok(Self { name: &input.name, kind: tensor.elem_type, sides })
    }

    fn image(&self, size: Option<ImageSize>, layout: Option<Layout>) -> Result<Item, Refusal> {
        let coloured = |axis: usize| matches!(self.sides[axis], Some(1 | 3));
        let layout = match layout {
            Some(layout) => layout,
            None if coloured(1) => Layout::Nchw,
            None if coloured(3) => Layout::Nhwc,
            None if self.sides[1].is_none() || self.sides[3].is_none() => {
                return Err(Refusal::Option(ParameterError {
                    parameter: "layout",
                    got: format!("not given, and {self} does not tell"),
                    expected: "nchw or nhwc".to_owned(),
                }));
            }
            None => return Err(self.refuse("images of 1 or 3 channels")),
        };
        let [channels, rows, columns] = layout.axes();
        let channels = self.sides[channels].unwrap_or(3);
        if ![1, 3].contains(&channels) {
            return Err(self.refuse("images of 1 or 3 channels in the axis that the layout says"));
        }
        let side = |axis: usize, asked: Option<u32>| {
            let told = match self.sides[axis].map(u32::try_from) {
                Some(Ok(side)) => Some(side),
                Some(Err(_)) => return Err(self.refuse("images of a size that fits into memory")),
                None => None,
            };
            match (told, asked) {
                (Some(side), None) => Ok(side),
                (None, Some(asked)) => Ok(asked),
                (Some(side), Some(asked)) if side == asked => Ok(side),
                (None, None) => Err(Refusal::Option(ParameterError {
                    parameter: "size",
                    got: format!("not given, and {self} takes any"),
                    expected: "HEIGHTxWIDTH in pixels, as the encoder was trained with".to_owned(),
                })),
                (Some(_), Some(_)) => Err(Refusal::Option(ParameterError {
                    parameter: "size",
                    got: size.map_or_else(String::new, |size| size.to_string()),
                    expected: format!("that of {self}; leave it out"),
                })),
            }
        };
        let height = side(rows, size.map(|size| size.height))?;
        let width = side(columns, size.map(|size| size.width))?;
        Ok(Item::Image { layout, channels, size: ImageSize { height, width } })
    }

    fn vector(&self, size: Option<ImageSize>, layout: Option<Layout>) -> Result<Item, Refusal> {
        for (option, given) in [("size", size.is_some()), ("layout", layout.is_some())] {
            if given {
                return Err(Refusal::Option(ParameterError {
                    parameter: option,
                    got: "given".to_owned(),
                    expected: format!("none, since {self} takes vectors"),
                }));
            }
        }
        match self.sides[1] {
            Some(dimensions) => Ok(Item::Vector { dimensions }),
            None => Err(self.refuse("vectors of a number of components that the file tells")),
        }
    }

    fn refuse(&self, expected: &str) -> Refusal {
        Refusal::File(format!("{self}: expected {expected}"))
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side =
            |side: &Option<usize>| side.map_or_else(|| "?".to_owned(), |side| side.to_string());
        let sides: Vec<_> = self.sides.iter().map(side).collect();
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

    const fn size(height: u32, width: u32) -> ImageSize {
        ImageSize { height, width }
    }

    #[test]
    fn layout_batch_and_size_are_read_from_the_file() {
        let read = |sides: &[i64], size| Seen::of(&graph(sides), size, None).unwrap();
        let item = Item::Image { layout: Layout::Nchw, channels: 3, size: size(128, 64) };
        assert_eq!(read(&[-1, 3, 128, 64], None), Seen { batch: None, item });
        assert_eq!(read(&[-1, 3, -1, -1], Some(size(128, 64))), Seen { batch: None, item });
        assert_eq!(read(&[1, 3, 128, 64], None), Seen { batch: Some(1), item });
        assert_eq!(read(&[4, 128, 64, 1], None).shape(4), [4, 128, 64, 1]);
        let item = Item::Vector { dimensions: 512 };
        assert_eq!(read(&[-1, 512], None), Seen { batch: None, item });
    }

    #[test]
    fn other_inputs_are_refused_with_what_they_are() {
        let refused = |sides: &[i64], size| match Seen::of(&graph(sides), size, None) {
            Err(Refusal::File(reason)) => reason,
            Err(Refusal::Option(error)) => error.to_string(),
            Ok(input) => panic!("{input:?} was taken"),
        };
        assert_eq!(
            refused(&[-1, 7, 512], None),
            "its input `x` (float ?×7×512): expected float32, as images N×C×H×W or N×H×W×C, or as \
             vectors N×D"
        );
        assert_eq!(
            refused(&[-1, 7, 32, 32], None),
            "its input `x` (float ?×7×32×32): expected images of 1 or 3 channels"
        );
        assert!(refused(&[-1, 3, -1, -1], None).starts_with("size is not given"));
        assert!(refused(&[-1, -1, -1, -1], None).starts_with("layout is not given"));
        assert!(refused(&[1 << 40, 3, 8, 8], None).contains("at most 1024 items at once"));
        assert!(refused(&[-1, -1], None).contains("number of components"));
        assert_eq!(
            refused(&[-1, 3, 32, 32], Some(size(64, 64))),
            "size is 64: expected that of its input `x` (float ?×3×32×32); leave it out"
        );
        assert_eq!(
            refused(&[-1, 32], Some(size(64, 64))),
            "size is given: expected none, since its input `x` (float ?×32) takes vectors"
        );
        let mut two = graph(&[-1, 3, 8, 8]);
        two.input.push(value("mask", DataType::Int64, &[-1]));
        let Err(Refusal::File(reason)) = Seen::of(&two, None, None) else { panic!("taken") };
        assert_eq!(reason, "it has 2 inputs (`x`, `mask`): expected one, of images or vectors");
    }
}
