//! Tables of images: path, class, and what else is known about each.

use std::collections::HashMap;
use std::path::Path;

use super::attributes::PART_COLUMNS;
use super::table::{Row, Table};
use super::{Attributes, Catalogue, Content, Crop, DataError, Item, Parts};

/// The required columns.
const REQUIRED: [&str; 2] = ["path", "label"];

/// The optional columns.
const OPTIONAL: [&str; 9] =
    ["split", "is_query", "is_gallery", "camera", "sequence", "x1", "y1", "x2", "y2"];

/// The corners of the box, in the order of [`Crop`]'s fields.
const BOX: [&str; 4] = ["x1", "y1", "x2", "y2"];

/// The rows of a CSV or Parquet file as items, in their order. Paths are relative to the file. The
/// id of an item is its path as written, followed by the box if there is one.
pub(crate) fn catalogue(source: String, file: &Path) -> Result<Catalogue, DataError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut table = Table::open(file, &REQUIRED, &OPTIONAL)?;
    let (mut items, mut classes) = (Vec::new(), Vec::new());
    let mut lines: HashMap<String, u64> = HashMap::new();
    while let Some(row) = table.next_row()? {
        let path = row.required("path")?;
        let attributes = Attributes {
            parts: parts(&row)?,
            camera: row.get("camera").map(str::to_owned),
            sequence: row.get("sequence").map(str::to_owned),
            crop: crop(&row)?,
        };
        let id = match attributes.crop {
            Some(crop) => format!("{path}#{crop}"),
            None => path.to_owned(),
        };
        // An item that occurs twice would be its own neighbour.
        if let Some(first) = lines.insert(id.clone(), row.line) {
            let reason = format!("`{id}` is in line {first} already: drop one of the two");
            return Err(row.refuse("path", reason));
        }
        classes.push(row.required("label")?.to_owned());
        items.push(Item { id, content: Content::File(folder.join(path)), attributes });
    }
    if items.is_empty() {
        let reason = "it holds no items below its header".to_owned();
        return Err(DataError::Refused { path: file.to_owned(), reason });
    }
    Ok(Catalogue::new(source, items, classes.into_iter().collect()))
}

fn parts(row: &Row<'_>) -> Result<Parts, DataError> {
    Parts::of_cells(PART_COLUMNS.map(|column| row.get(column)))
        .map_err(|(column, reason)| row.refuse(column, reason))
}

fn crop(row: &Row<'_>) -> Result<Option<Crop>, DataError> {
    let number = |column| row.get(column).filter(|text| !text.eq_ignore_ascii_case("nan"));
    if BOX.iter().all(|column| number(column).is_none()) {
        return Ok(None);
    }
    let side = |column| {
        let text = number(column).ok_or_else(|| row.lacking(column))?;
        // Pandas writes whole numbers as floats if a column has gaps.
        let whole = text.trim_end_matches('0').strip_suffix('.').unwrap_or(text);
        whole
            .parse::<u32>()
            .map_err(|_| row.refuse(column, format!("`{text}` is no number of pixels (0, 1, …)")))
    };
    let crop =
        Crop { left: side("x1")?, top: side("y1")?, right: side("x2")?, bottom: side("y2")? };
    let order = [("x2", crop.left, crop.right), ("y2", crop.top, crop.bottom)];
    match order.into_iter().find(|(_, from, to)| from >= to) {
        Some((column, from, to)) => {
            Err(row.refuse(column, format!("it is {to}, expected more than {from}")))
        }
        None => Ok(Some(crop)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{GrayImage, Luma};

    use super::*;
    use crate::data::Part;

    fn list(text: &str) -> Result<Catalogue, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pictures")).unwrap();
        let image = GrayImage::from_fn(8, 6, |x, _| Luma([x as u8]));
        image.save(folder.path().join("pictures/1.png")).unwrap();
        let file = folder.path().join("list.csv");
        fs::write(&file, text).unwrap();
        let all = catalogue("manifest:list.csv".to_owned(), &file).map_err(|e| e.to_string())?;
        // Images are decoded while the folder exists.
        let sizes: Vec<_> = (0..all.len()).map(|item| all.image(item).map(|i| i.width())).collect();
        assert!(sizes[0].is_ok(), "{sizes:?}");
        Ok(all)
    }

    #[test]
    fn rows_are_items_with_all_they_say() {
        let all = list(
            "\u{feff}camera,label,path,split,is_query,is_gallery,sequence,x1,y1,x2,y2,comment\n\
             c1,あ,pictures/1.png,train,,,s1,,,,,\n\
             c2,b,pictures/1.png,VAL,true,1,,1,0,5,6,\"a, b\"\n\
             c1, b ,pictures/2.png,query,0,False,,,,,,\n",
        )
        .unwrap();
        assert_eq!(all.ids(), ["pictures/1.png", "pictures/1.png#1,0,5,6", "pictures/2.png"]);
        assert_eq!(all.labels, ["あ", "b", "b"].into_iter().collect());
        let attributes = &all.items[1].attributes;
        assert_eq!(attributes.crop, Some(Crop { left: 1, top: 0, right: 5, bottom: 6 }));
        let parts = [Part::Validation, Part::Query, Part::Gallery].into_iter().collect();
        assert_eq!(attributes.parts, parts);
        assert_eq!(all.items[0].attributes.sequence.as_deref(), Some("s1"));
        assert_eq!(all.cameras().unwrap(), ["c1", "c2", "c1"].into_iter().collect());
        assert_eq!(all.part(&[Part::Query]), [1, 2]);
        assert_eq!(all.training().unwrap().len(), 1);
    }

    #[test]
    fn whole_numbers_may_be_written_as_pandas_writes_them() {
        let all = list(
            "path,label,is_query,camera,x1,y1,x2,y2\n\
             pictures/1.png,1.0,True,10.0,2.0,1.0,5.0,6.00\n\
             pictures/2.png,10.0,1.0,,,,,\n\
             pictures/3.png,-2.0,0.0,2.0,NaN,NaN,nan,nan\n",
        )
        .unwrap();
        assert_eq!(all.ids(), ["pictures/1.png#2,1,5,6", "pictures/2.png", "pictures/3.png"]);
        assert_eq!(all.labels, ["1", "10", "-2"].into_iter().collect());
        let cameras: Vec<_> =
            all.items.iter().map(|item| item.attributes.camera.as_deref()).collect();
        assert_eq!(cameras, [Some("10"), None, Some("2")]);
        assert_eq!(all.part(&[Part::Query]), [0, 1]);
        // These are versions, not whole numbers: one of them has another digit after the point.
        let all = list("path,label\npictures/1.png,1.0\npictures/2.png,1.1\n").unwrap();
        assert_eq!(all.labels, ["1.0", "1.1"].into_iter().collect());
    }

    #[test]
    fn text_of_excel_is_read_or_named() {
        let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        let utf_16: Vec<u8> =
            "\u{feff}path,label\r\np,a\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(file.path(), utf_16).unwrap();
        let message = catalogue(String::new(), file.path()).unwrap_err().to_string();
        assert!(message.contains("UTF-16") && message.contains(".csv"), "{message}");
    }

    #[test]
    fn the_box_is_cut_out() {
        let folder = tempfile::tempdir().unwrap();
        GrayImage::from_fn(8, 6, |x, _| Luma([x as u8])).save(folder.path().join("1.png")).unwrap();
        let file = folder.path().join("list.csv");
        fs::write(&file, "path,label,x1,y1,x2,y2\n1.png,a,2,1,5,6\n1.png,a,2,1,9,6\n").unwrap();
        let all = catalogue("manifest:x".to_owned(), &file).unwrap();
        let image = all.image(0).unwrap().to_luma8();
        assert_eq!((image.dimensions(), image.get_pixel(0, 0).0[0]), ((3, 5), 2));
        let message = all.image(1).unwrap_err().to_string();
        assert!(message.contains("1.png#2,1,9,6") && message.contains("8 x 6"), "{message}");
    }

    #[test]
    fn wrong_cells_are_named_by_line_and_column() {
        let columns = "path,label,split,is_query,x1,y1,x2,y2\n";
        for (row, part) in [
            ("", "no items below its header"),
            (",a,,,,,,\n", ":2: column `path`: it is empty"),
            ("p,,,,,,,\n", ":2: column `label`: it is empty"),
            ("p,a,traning,,,,,\n", ":2: column `split`: `traning` is none of train, validation"),
            ("p,a,,maybe,,,,\n", ":2: column `is_query`: `maybe` is neither"),
            ("p,a,,,1,,,\n", ":2: column `y1`: it is empty"),
            ("p,a,,,1,2,3.5,4\n", ":2: column `x2`: `3.5` is no number of pixels"),
            ("p,a,,,1,2,,4\n", ":2: column `x2`: it is empty"),
            ("p,a,,,1,2,-3.0,4\n", ":2: column `x2`: `-3` is no number of pixels"),
            ("p,a,,,1,2,.0,4\n", ":2: column `x2`: `.0` is no number of pixels"),
            ("p,a,,,1,2,1,4\n", ":2: column `x2`: it is 1, expected more than 1"),
            ("p,a,,,,,,\nq,a,,,,,,\np,a,,,,,,\n", ":4: column `path`: `p` is in line 2 already"),
            ("p,a\n", ":2: 2 fields, expected 8"),
        ] {
            let message = list(&format!("{columns}{row}")).unwrap_err();
            assert!(message.contains(part) && message.contains("list.csv"), "{part}: {message}");
        }
        for (text, part) in [
            ("", "no column `path`"),
            ("path;label\np;a\n", "no column `path` in the first line, but `path;label`"),
            ("path,label,path\np,a,p\n", "the column `path` is there twice"),
        ] {
            let message = list(text).unwrap_err();
            assert!(message.contains(part), "{part}: {message}");
        }
        let message = catalogue(String::new(), Path::new("none.csv")).unwrap_err().to_string();
        assert!(message.contains("none.csv") && message.contains("cannot read"), "{message}");
    }
}
