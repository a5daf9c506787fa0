//! Embeddings: the columns `id`, `label` and `embedding`, and the model's fingerprint as metadata.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use ndarray::Array2;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask, parquet_to_arrow_schema};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use tercet_train::embeddings::{Embeddings, OutOfRange};

use crate::claims;

const EMBEDDING: &str = "embedding";
const LABEL: &str = "label";
const ID: &str = "id";

/// The largest number of bytes of all labels and ids: 1 GiB.
const TEXT_LIMIT: usize = 1 << 30;

/// The key of the model's fingerprint in the file's metadata.
const MODEL: &str = "model";

/// Writes the columns `id` and `label` (strings, if they exist) and `embedding` (a fixed-size list
/// of f32).
pub(super) fn write(embeddings: &Embeddings) -> Result<Vec<u8>, String> {
    try_write(embeddings).map_err(|error| error.to_string())
}

fn try_write(embeddings: &Embeddings) -> parquet::errors::Result<Vec<u8>> {
    let dimensions = i32::try_from(embeddings.vectors.ncols()).unwrap_or(i32::MAX);
    let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
    for (name, texts) in [(ID, &embeddings.ids), (LABEL, &embeddings.labels)] {
        if let Some(texts) = texts {
            let column: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
            columns.push((Field::new(name, DataType::Utf8, false), column));
        }
    }
    let number = Arc::new(Field::new("element", DataType::Float32, false));
    let values = Float32Array::from_iter_values(embeddings.vectors.iter().copied());
    let lists = FixedSizeListArray::try_new(number, dimensions, Arc::new(values), None)?;
    columns.push((Field::new(EMBEDDING, lists.data_type().clone(), false), Arc::new(lists)));

    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays)?;
    let model = embeddings.model.clone();
    // Values rarely repeat, so a dictionary of them would only take time.
    let numbers = ColumnPath::from(vec![EMBEDDING.into(), "list".into(), "element".into()]);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_column_dictionary_enabled(numbers, false)
        .set_key_value_metadata(model.map(|model| vec![KeyValue::new(MODEL.to_owned(), model)]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// Reads embeddings as lists of f16, f32 or f64; labels and ids as strings or integers, if they
/// exist.
///
/// Types are taken from Parquet's own schema, not from the Arrow schema that the file may also
/// have, so that dictionaries and lists of large or fixed size are read as plain strings and lists.
pub(super) fn read(bytes: Vec<u8>) -> Result<(Embeddings, OutOfRange), String> {
    let message = |error: ParquetError| error.to_string();
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let bytes = Bytes::from(bytes);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options)
        .map_err(message)?;
    let names: Vec<String> =
        builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let place = |name: &str| names.iter().position(|other| other == name);
    if place(EMBEDDING).is_none() {
        return Err(format!("it has no column `{EMBEDDING}`, but {names:?}"));
    }
    let metadata = builder.metadata().file_metadata();
    let entries = metadata.key_value_metadata();
    let model = entries.into_iter().flatten().find(|entry| entry.key == MODEL);
    let model = model.and_then(|entry| entry.value.clone());
    let declared = parquet_to_arrow_schema(metadata.schema_descr(), entries);

    let wanted = [EMBEDDING, LABEL, ID].into_iter().filter_map(place);
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let claims = claims::check(&bytes, builder.metadata(), |leaf| mask.leaf_included(leaf))?;
    let mut values: Vec<f32> = Vec::new();
    let numbers = usize::try_from(claims.values).unwrap_or(usize::MAX);
    values
        .try_reserve_exact(numbers)
        .map_err(|_| format!("it holds {numbers} values, more than this process has memory for"))?;
    let (mut dimensions, mut rows, mut length) = (None, 0, 0);
    let mut out_of_range = OutOfRange::default();
    let mut labels = place(LABEL).map(|_| Vec::new());
    let mut ids = place(ID).map(|_| Vec::new());
    let builder = builder.with_projection(mask).with_batch_size(claims.batch_size());
    for batch in builder.build().map_err(message)? {
        let batch = batch.map_err(|error| error.to_string())?;
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| format!("column `{name}` cannot be read"))
        };
        vectors(column(EMBEDDING)?, rows, &mut dimensions, (&mut values, &mut out_of_range))?;
        for (name, list) in [(LABEL, &mut labels), (ID, &mut ids)] {
            if let Some(list) = list {
                texts(name, column(name)?, rows, list)?;
            }
        }
        let texts = [&labels, &ids].into_iter().flatten().flat_map(|list| &list[rows..]);
        length += texts.map(String::len).sum::<usize>();
        if length > TEXT_LIMIT {
            return Err(format!("its labels and ids take more than {TEXT_LIMIT} bytes"));
        }
        rows += batch.num_rows();
    }
    // Without rows, only the schema contains the number of dimensions.
    let dimensions = dimensions.unwrap_or_else(|| {
        match declared
            .as_ref()
            .map(|schema| schema.field_with_name(EMBEDDING).map(|field| field.data_type().clone()))
        {
            Ok(Ok(DataType::FixedSizeList(_, dimensions))) => {
                usize::try_from(dimensions).unwrap_or(0)
            }
            _ => 0,
        }
    });
    let vectors =
        Array2::from_shape_vec((rows, dimensions), values).map_err(|error| error.to_string())?;
    Ok((Embeddings { vectors, labels, ids, model }, out_of_range))
}

/// Appends the vectors of a batch whose first row is row `start` of the file.
fn vectors(
    column: &ArrayRef,
    start: usize,
    dimensions: &mut Option<usize>,
    (values, out_of_range): (&mut Vec<f32>, &mut OutOfRange),
) -> Result<(), String> {
    let wrong = || {
        let kind = column.data_type();
        format!("column `{EMBEDDING}` is {kind}, expected lists of f32, f16 or f64")
    };
    let lists = column.as_list_opt::<i32>().ok_or_else(wrong)?;
    for row in 0..lists.len() {
        if lists.is_null(row) {
            return Err(format!("row {}: its embedding is null", start + row));
        }
        let list = lists.value(row);
        let expected = *dimensions.get_or_insert(list.len());
        if list.len() != expected {
            return Err(format!(
                "row {}: its embedding has {} numbers, expected {expected} as in row 0",
                start + row,
                list.len()
            ));
        }
        if let Some(nulls) = list.nulls()
            && let Some(place) = nulls.iter().position(|there| !there)
        {
            return Err(format!("row {}, column {place} is null, expected a number", start + row));
        }
        if let Some(list) = list.as_primitive_opt::<Float32Type>() {
            values.extend(list.values());
        } else if let Some(list) = list.as_primitive_opt::<Float64Type>() {
            let place = values.len();
            values.extend(
                list.values()
                    .iter()
                    .zip(place..)
                    .map(|(&value, at)| out_of_range.narrow(value, at)),
            );
        } else if let Some(list) = list.as_primitive_opt::<Float16Type>() {
            values.extend(list.values().iter().map(|value| value.to_f32()));
        } else {
            return Err(wrong());
        }
    }
    Ok(())
}

/// Appends the labels or ids of a batch whose first row is row `start` of the file.
fn texts(
    name: &str,
    column: &ArrayRef,
    start: usize,
    texts: &mut Vec<String>,
) -> Result<(), String> {
    if let Some(nulls) = column.nulls()
        && let Some(row) = nulls.iter().position(|there| !there)
    {
        return Err(format!("row {}: its {name} is null", start + row));
    }
    match column.data_type() {
        DataType::Utf8 => {
            let strings = column.as_string::<i32>();
            texts.extend((0..strings.len()).map(|row| strings.value(row).to_owned()));
        }
        DataType::Int8 => integers::<Int8Type>(column, texts),
        DataType::Int16 => integers::<Int16Type>(column, texts),
        DataType::Int32 => integers::<Int32Type>(column, texts),
        DataType::Int64 => integers::<Int64Type>(column, texts),
        DataType::UInt8 => integers::<UInt8Type>(column, texts),
        DataType::UInt16 => integers::<UInt16Type>(column, texts),
        DataType::UInt32 => integers::<UInt32Type>(column, texts),
        DataType::UInt64 => integers::<UInt64Type>(column, texts),
        kind => {
            return Err(format!("column `{name}` is {kind}, expected strings or whole numbers"));
        }
    }
    Ok(())
}

fn integers<T: ArrowPrimitiveType<Native: ToString>>(column: &ArrayRef, texts: &mut Vec<String>) {
    texts.extend(column.as_primitive::<T>().values().iter().map(ToString::to_string));
}
