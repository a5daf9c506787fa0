//! Tables: the rows of a Parquet file as texts.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use tercet_train::embeddings::parquet::Table;
use tercet_train::reading;

use crate::claims;

/// The largest number of bytes of the texts of all rows: 1 GiB.
const TEXT_LIMIT: usize = 1 << 30;

/// The names of all columns, and the rows of the `known` ones; the cells of other columns are
/// empty. A null is an empty text.
pub(super) fn read(content: Vec<u8>, known: &[&str]) -> Result<Table, String> {
    let bytes = Bytes::from(content);
    let message = |error: ParquetError| error.to_string();
    // Parquet's own types are used, so that Arrow's dictionaries and large arrays are read as plain
    // text.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options)
        .map_err(message)?;
    let header: Vec<String> =
        builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let wanted: Vec<usize> =
        (0..header.len()).filter(|&place| known.contains(&header[place].as_str())).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
    let claims = claims::check(&bytes, builder.metadata(), |leaf| mask.leaf_included(leaf))?;
    let builder = builder.with_projection(mask).with_batch_size(claims.batch_size());
    let (mut rows, mut length) = (Vec::new(), 0);
    for batch in builder.build().map_err(message)? {
        let batch = batch.map_err(|error| error.to_string())?;
        let columns = wanted
            .iter()
            .zip(batch.columns())
            .map(|(&place, column)| Ok((place, texts(&header[place], column)?)))
            .collect::<Result<Vec<(usize, Vec<String>)>, String>>()?;
        let texts = columns.iter().flat_map(|(_, texts)| texts);
        length += texts.map(String::len).sum::<usize>();
        if length > TEXT_LIMIT {
            return Err(format!("its texts take more than {TEXT_LIMIT} bytes"));
        }
        rows.extend((0..batch.num_rows()).map(|row| {
            let mut cells = vec![String::new(); header.len()];
            for (place, texts) in &columns {
                cells[*place].clone_from(&texts[row]);
            }
            cells
        }));
    }
    Ok(Table { header, rows })
}

fn texts(name: &str, column: &ArrayRef) -> Result<Vec<String>, String> {
    match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>().iter();
            Ok(texts.map(|text| text.unwrap_or_default().trim().to_owned()).collect())
        }
        DataType::Boolean => {
            let flags = column.as_boolean().iter();
            Ok(flags.map(|flag| flag.map(|flag| flag.to_string()).unwrap_or_default()).collect())
        }
        DataType::Int8 => Ok(numbers::<Int8Type>(column)),
        DataType::Int16 => Ok(numbers::<Int16Type>(column)),
        DataType::Int32 => Ok(numbers::<Int32Type>(column)),
        DataType::Int64 => Ok(numbers::<Int64Type>(column)),
        DataType::UInt8 => Ok(numbers::<UInt8Type>(column)),
        DataType::UInt16 => Ok(numbers::<UInt16Type>(column)),
        DataType::UInt32 => Ok(numbers::<UInt32Type>(column)),
        DataType::UInt64 => Ok(numbers::<UInt64Type>(column)),
        // Pandas writes whole numbers with gaps as floats, where a gap is NaN; 3.0 becomes 3.
        DataType::Float32 => Ok(without_gaps(numbers::<Float32Type>(column))),
        DataType::Float64 => Ok(without_gaps(numbers::<Float64Type>(column))),
        DataType::Null => Ok(vec![String::new(); column.len()]),
        kind => Err(format!("column `{name}` is {kind}, expected text, numbers or flags")),
    }
}

fn numbers<T: ArrowPrimitiveType<Native: ToString>>(column: &ArrayRef) -> Vec<String> {
    let numbers = column.as_primitive::<T>().iter();
    numbers.map(|number| number.map(|number| number.to_string()).unwrap_or_default()).collect()
}

fn without_gaps(numbers: Vec<String>) -> Vec<String> {
    numbers.into_iter().map(|number| if number == "NaN" { String::new() } else { number }).collect()
}

/// The names of the columns of a Parquet file; empty if it is not one.
pub(super) fn columns(path: &Path) -> Vec<String> {
    let schema = reading::open(path)
        .ok()
        .map(|(file, _)| file)
        .and_then(|file| ParquetRecordBatchReaderBuilder::try_new(file).ok())
        .map(|builder| builder.schema().clone());
    let fields = schema.iter().flat_map(|schema| schema.fields());
    fields.map(|field| field.name().clone()).collect()
}
