//! Results as a person reads them.

use std::fmt::Write;

use tercet::{Retrieval, Verification};

/// Retrieval figures, a row each, with their 95 % intervals.
pub(crate) fn retrieval(rows: &[(&str, &Retrieval)]) -> String {
    let mut text = String::new();
    let figures = ["Recall@1", "Recall@5", "R-precision", "MAP@R", "mAP", "MRR"];
    let _ = write!(text, "{:<12}", "");
    for figure in figures {
        let _ = write!(text, "{figure:<18}");
    }
    text.truncate(text.trim_end().len());
    for (name, judged) in rows {
        let ci95 = &judged.ci95;
        let cells = [
            (judged.recall_at(1), Some(ci95.recall_at_1)),
            (judged.recall_at(5), None),
            (Some(judged.r_precision), Some(ci95.r_precision)),
            (Some(judged.map_at_r), Some(ci95.map_at_r)),
            (Some(judged.map), Some(ci95.map)),
            (Some(judged.mrr), Some(ci95.mrr)),
        ];
        let _ = write!(text, "\n{name:<12}");
        for (value, interval) in cells {
            let value = value.map_or_else(|| "–".to_owned(), share);
            let cell = match interval {
                Some([low, high]) => format!("{value} {}–{}", share(low), share(high)),
                None => value,
            };
            let _ = write!(text, "{cell:<18}");
        }
        text.truncate(text.trim_end().len());
    }
    text
}

/// Verification figures in one line.
pub(crate) fn verification(judged: &Verification) -> String {
    let mut text = format!(
        "accuracy {} ± {}, AUC {}, EER {}",
        share(judged.accuracy.mean),
        share(judged.accuracy.std),
        share(judged.auc),
        share(judged.eer)
    );
    for (far, val) in judged.val_at_far.iter().rev() {
        let _ = write!(text, ", VAL@FAR {far} {}", share(val.val));
    }
    text
}

/// A share as the field writes it: `.953`, and `1.000`.
pub(crate) fn share(value: f64) -> String {
    let text = format!("{value:.3}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

/// 10500 as `10,500`.
pub(crate) fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_the_literature() {
        assert_eq!(
            (share(0.9531), share(1.0), share(0.0)),
            (".953".into(), "1.000".into(), ".000".into())
        );
        assert_eq!(
            (count(7), count(10_500), count(1_234_567)),
            ("7".into(), "10,500".into(), "1,234,567".into())
        );
    }
}
