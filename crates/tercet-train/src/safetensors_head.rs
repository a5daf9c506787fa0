//! The metadata of a `.safetensors` file, read without its tensors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use serde_json::Value;

use crate::reading::lfs_pointer;

/// The largest length of a header; readers of the format refuse longer ones.
const LIMIT: u64 = 100_000_000;

/// The metadata of a file that [`open`](crate::reading::open) opened. Its header must claim exactly
/// the bytes that the file has.
///
/// The inner error says what is wrong with the file.
///
/// # Errors
/// The errors of the system.
pub(crate) fn metadata(
    file: &mut File,
    length: u64,
) -> io::Result<Result<HashMap<String, String>, String>> {
    let mut first = Vec::new();
    file.by_ref().take(8).read_to_end(&mut first)?;
    let Some((&size, _)) = first.split_first_chunk() else {
        return Ok(Err(format!("it has {length} bytes, fewer than a header")));
    };
    let size = u64::from_le_bytes(size);
    if size > LIMIT || size > length.saturating_sub(8) {
        // A Git LFS pointer has no header: its first characters are read as one large number.
        file.by_ref().take(1024).read_to_end(&mut first)?;
        return match lfs_pointer(&first) {
            Some(reason) => Err(io::Error::other(reason)),
            None => Ok(Err(format!("its header claims {size} bytes, the file has {length}"))),
        };
    }
    let mut header = Vec::new();
    file.by_ref().take(size).read_to_end(&mut header)?;
    Ok(parse(&header, length - 8 - size))
}

fn parse(header: &[u8], behind: u64) -> Result<HashMap<String, String>, String> {
    let header: HashMap<String, Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
    let end = |tensor: &Value| tensor["data_offsets"][1].as_u64();
    let claimed = header.iter().filter(|(name, _)| *name != "__metadata__");
    let claimed = claimed.filter_map(|(_, tensor)| end(tensor)).max().unwrap_or(0);
    if claimed != behind {
        return Err(format!("its tensors claim {claimed} bytes, the file has {behind} for them"));
    }
    let texts = header.get("__metadata__").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    Ok(texts.into_iter().flatten().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::reading::open;

    fn read(bytes: &[u8]) -> io::Result<Result<HashMap<String, String>, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        fs::write(&path, bytes).unwrap();
        let (mut file, length) = open(&path)?;
        metadata(&mut file, length)
    }

    #[test]
    fn claims_are_compared_with_the_file() {
        let header =
            br#"{"__metadata__":{"a":"b"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let size = (header.len() as u64).to_le_bytes();
        let whole = [&size[..], header, &[0; 4]].concat();
        assert_eq!(read(&whole).unwrap().unwrap()["a"], "b");
        for (bytes, part) in [
            (&whole[..whole.len() - 1], "claim 4 bytes, the file has 3"),
            (&whole[..4], "fewer than a header"),
            (&whole[..20], "the file has 20"),
            (&[0xff; 40], "header claims"),
            (&[[2, 0, 0, 0, 0, 0, 0, 0].as_slice(), b"[]"].concat(), "its header"),
        ] {
            let reason = read(bytes).unwrap().unwrap_err();
            assert!(reason.contains(part), "{part}: {reason}");
        }
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
        assert!(read(pointer).unwrap_err().to_string().contains("git lfs pull"));
    }
}
