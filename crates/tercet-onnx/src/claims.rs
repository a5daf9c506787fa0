//! Refuses graphs that claim more memory than any encoder needs, before anything is allocated.
//!
//! A file of a few bytes can ask for a tensor of terabytes: a weight with a shape but without values,
//! or an operation that creates a tensor whose shape is a constant. The engine computes such constants
//! when it prepares the graph.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// The largest number of values that a constant operation may create: 1 GiB of float32.
const MOST: i128 = 1 << 28;

/// The operations that create a tensor of a given shape, and the place of the shape among their
/// inputs.
const SHAPED: [(&str, usize); 4] =
    [("ConstantOfShape", 0), ("Expand", 1), ("Reshape", 1), ("Tile", 1)];

/// Checks the weights and the constant shapes of a graph. The error says what is claimed, and what is
/// expected.
pub(crate) fn check(graph: &GraphProto) -> Result<(), String> {
    for tensor in &graph.initializer {
        check_values(tensor)?;
    }
    let mut constants: HashMap<&str, Vec<i64>> = HashMap::new();
    for tensor in &graph.initializer {
        constants.extend(whole_numbers(tensor).map(|numbers| (&*tensor.name, numbers)));
    }
    for node in &graph.node {
        if node.op_type == "Constant"
            && let Some(output) = node.output.first()
        {
            for attribute in &node.attribute {
                attribute.t.as_ref().map_or(Ok(()), check_values)?;
            }
            constants.extend(constant(node).map(|numbers| (&**output, numbers)));
        }
    }
    for node in &graph.node {
        check_node(node, &constants)?;
        // The nodes of a graph must be sorted: the inputs of a node are computed before it.
        if let Some(output) = node.output.first() {
            constants.extend(computed(node, &constants).map(|numbers| (&**output, numbers)));
        }
    }
    Ok(())
}

/// The largest number of whole numbers that are computed here; no shape has so many sides.
const MOST_NUMBERS: usize = 256;

/// The output of an operation that makes a shape of constants. Numbers beyond the range of i64 are
/// limited to it.
fn computed(node: &NodeProto, constants: &HashMap<&str, Vec<i64>>) -> Option<Vec<i64>> {
    let inputs = node.input.iter().filter(|name| !name.is_empty());
    let inputs = inputs.map(|name| constants.get(&**name).map(Vec::as_slice));
    let inputs: Vec<&[i64]> = inputs.collect::<Option<_>>()?;
    if inputs.iter().map(|numbers| numbers.len()).sum::<usize>() > MOST_NUMBERS {
        return None;
    }
    match &*node.op_type {
        "Cast" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" => {
            inputs.first().map(|numbers| numbers.to_vec())
        }
        "Concat" => Some(inputs.concat()),
        "Add" => by_pairs(&inputs, i64::saturating_add),
        "Sub" => by_pairs(&inputs, i64::saturating_sub),
        "Mul" => by_pairs(&inputs, i64::saturating_mul),
        "ReduceProd" => {
            inputs.first().map(|numbers| vec![numbers.iter().copied().fold(1, i64::saturating_mul)])
        }
        _ => None,
    }
}

/// An operation on two lists of equal length, or on a list and one number.
fn by_pairs(inputs: &[&[i64]], operation: fn(i64, i64) -> i64) -> Option<Vec<i64>> {
    let &[a, b] = inputs else { return None };
    match (a, b) {
        (a, b) if a.len() == b.len() => {
            Some(a.iter().zip(b).map(|(&a, &b)| operation(a, b)).collect())
        }
        (&[a], b) => Some(b.iter().map(|&b| operation(a, b)).collect()),
        (a, &[b]) => Some(a.iter().map(|&a| operation(a, b)).collect()),
        _ => None,
    }
}

/// The name of the first operation that decides at run time which others are run.
pub(crate) fn control_flow(graph: &GraphProto) -> Option<&str> {
    let operations = graph.node.iter().map(|node| &*node.op_type);
    operations.into_iter().find(|operation| ["If", "Loop", "Scan"].contains(operation))
}

/// Refuses a weight that has fewer values than its shape says.
fn check_values(tensor: &TensorProto) -> Result<(), String> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        return Ok(()); // the engine reads no more than the file holds
    }
    let claimed = product(&tensor.dims);
    let held = [
        tensor.raw_data.len(),
        tensor.float_data.len(),
        tensor.int32_data.len(),
        tensor.string_data.len(),
        tensor.int64_data.len(),
        tensor.double_data.len(),
        tensor.uint64_data.len(),
    ];
    // Packed types have two values in a byte, or a pair of numbers for a value.
    let most = 2 * held.into_iter().max().unwrap_or_default() as i128;
    match claimed.is_some_and(|claimed| claimed <= most) {
        true => Ok(()),
        false => Err(format!(
            "its weight `{}` has the shape {}, expected no more values than the file holds",
            tensor.name,
            sides(&tensor.dims)
        )),
    }
}

fn check_node(node: &NodeProto, constants: &HashMap<&str, Vec<i64>>) -> Result<(), String> {
    let input = |place: usize| constants.get(&**node.input.get(place)?);
    let refuse = |numbers: &[i64]| {
        Err(format!(
            "its operation {} creates a tensor of {} values: expected at most {MOST}",
            node.op_type,
            sides(numbers)
        ))
    };
    for (operation, place) in SHAPED {
        if node.op_type == operation
            && let Some(shape) = input(place)
        {
            // -1 and 0 stand for a length that the input has.
            let shape: Vec<i64> = shape.iter().copied().filter(|side| *side > 0).collect();
            if product(&shape).is_none_or(|values| values > MOST) {
                return refuse(&shape);
            }
        }
    }
    if node.op_type == "Range"
        && let (Some([from, ..]), Some([to, ..]), Some([step, ..])) =
            (input(0).map(Vec::as_slice), input(1).map(Vec::as_slice), input(2).map(Vec::as_slice))
        && *step != 0
    {
        let values = (i128::from(*to) - i128::from(*from)) / i128::from(*step);
        if values > MOST {
            return refuse(&[i64::try_from(values).unwrap_or(i64::MAX)]);
        }
    }
    if node.op_type == "Pad"
        && let Some(widths) = input(1)
        && widths.iter().any(|width| i128::from(*width) > MOST)
    {
        return refuse(widths);
    }
    if ["Resize", "OneHot"].contains(&&*node.op_type)
        && let Some(numbers) = input(if node.op_type == "Resize" { 3 } else { 1 })
        && product(numbers).is_none_or(|values| values > MOST)
    {
        return refuse(numbers);
    }
    Ok(())
}

/// The whole numbers of a `Constant`.
fn constant(node: &NodeProto) -> Option<Vec<i64>> {
    node.attribute.iter().find_map(|attribute| match &*attribute.name {
        "value" => whole_numbers(attribute.t.as_ref()?),
        "value_ints" => Some(attribute.ints.clone()),
        "value_int" => Some(vec![attribute.i]),
        _ => None,
    })
}

/// The values of a tensor of int64.
fn whole_numbers(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type != DataType::Int64 as i32 {
        return None;
    }
    let (raw, _) = tensor.raw_data.as_chunks();
    match tensor.int64_data.is_empty() {
        true => Some(raw.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()),
        false => Some(tensor.int64_data.clone()),
    }
}

/// The number of values of a shape; none if a side is negative or the number is beyond all bounds.
fn product(shape: &[i64]) -> Option<i128> {
    shape.iter().try_fold(1_i128, |product, &side| {
        product.checked_mul(i128::from(side)).filter(|_| side >= 0)
    })
}

fn sides(shape: &[i64]) -> String {
    shape.iter().map(i64::to_string).collect::<Vec<_>>().join("×")
}
