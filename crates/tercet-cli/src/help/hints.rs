//! Flags of other tools, and the flags to use instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Flags of other tools (several names, without dashes) and what to use instead.
const HINTS: &[(&[&str], &str)] = &[
    (
        &["epochs", "epoch", "num-epochs", "max-epochs", "n-epochs"],
        "training is counted in batches: give --steps N (one epoch is the number of items divided by P×K of --batch)",
    ),
    (&["iterations", "iters", "max-iter", "max-steps", "num-steps"], "give --steps N"),
    (
        &["batch-size", "bs", "b", "train-batch-size"],
        "give --batch PxK, such as 16x4: P classes with K items of each",
    ),
    (&["lr", "learning_rate", "base-lr", "lr0"], "give --learning-rate RATE"),
    (&["wd", "decay"], "give --weight-decay W"),
    (&["lr-scheduler", "scheduler", "lr-schedule"], "give --schedule NAME"),
    (&["optim", "opt"], "give --optimizer NAME"),
    (
        &["loss", "criterion", "loss-fn", "miner"],
        "give --objective NAME: facenet, batch-hard, batch-all, batch-all-nonzero, lifted",
    ),
    (
        &["arch", "architecture", "backbone", "net", "network"],
        "give --encoder NAME; without a name it lists the encoders",
    ),
    (
        &["model", "m", "weights", "ckpt", "checkpoint"],
        "a model is named without a flag, as in tercet eval MODEL SOURCE; training continues with tercet train --resume RUN",
    ),
    (
        &[
            "data",
            "dataset",
            "data-dir",
            "data-path",
            "train-dir",
            "input",
            "i",
            "source",
            "data-root",
            "root",
        ],
        "the source is named without a flag, as in tercet train photos",
    ),
    (
        &[
            "output",
            "output-dir",
            "o",
            "save",
            "save-dir",
            "save-path",
            "out-dir",
            "log-dir",
            "logdir",
            "name",
            "project",
        ],
        "a model or table is written to --out FILE, a training run to --run DIR",
    ),
    (&["dim", "embedding-size", "emb-dim", "embed-dim", "d", "out-dim"], "give --embedding-dim D"),
    (&["image-size", "img-size", "imgsz", "input-size", "resolution", "height"], "give --size HxW"),
    (
        &["workers", "num-workers", "j", "jobs", "n-jobs", "nproc", "num-threads", "t"],
        "give --threads N",
    ),
    (
        &["gpu", "gpus", "cuda", "device-id", "use-gpu", "accelerator"],
        "give --device NAME; `tercet doctor` lists the devices of this build",
    ),
    (
        &["val-split", "test-size", "val-size", "test-split", "validation-split", "val"],
        "give --holdout SHARE, such as 0.2: whole classes are held out",
    ),
    (&["random-seed", "random-state", "manual-seed"], "give --seed N"),
    (&["verbose", "v", "debug", "log-level"], "progress is always shown; --quiet turns it off"),
    (&["format"], "give --json for one JSON document; files take the format of their ending"),
    (&["metric", "dist"], "give --distance NAME: euclidean, squared-euclidean, cosine"),
    (
        &["k", "topk", "top-k", "n", "num-results", "limit"],
        "eval prints Recall at 1, 2, 4, 5, 8 and 10; `tercet gallery search --help` lists its options",
    ),
    (&["eps"], "give --threshold DISTANCE"),
    (&["n-clusters", "num-clusters"], "give --clusters N"),
    (&["min-samples", "min-cluster-size"], "give --min-items N"),
    (&["skip-errors", "ignore-errors", "skip-broken"], "give --skip-bad"),
    (
        &["pretrained-model", "finetune", "resume-from", "continue", "restore"],
        "training continues with tercet train --resume RUN; weights of a body are read with --pretrained FILE",
    ),
    (
        &["dry_run", "check"],
        "give --dry-run to see what would be trained, or --print-config for the settings",
    ),
    (
        &["open-browser", "browser"],
        "the address of the page is printed when the server has started",
    ),
    (&["listen", "host", "address", "addr"], "give --bind ADDRESS and --port N"),
    (
        &["temperature", "tau", "scale"],
        "the triplet loss has no temperature: give --margin M or --margin soft",
    ),
    (&["normalise", "l2", "l2-norm", "l2-normalize"], "give --normalize"),
    (
        &["fp16", "amp", "half", "mixed-precision", "bf16", "precision"],
        "numbers are single precision; there is no flag for it",
    ),
    (&["map-at-r", "recall", "metrics"], "all figures are printed; --json has every one of them"),
];

/// The flag to use instead of an unknown flag that other tools have; `None` for any other error.
pub(crate) fn hint(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
    // With one dash: `-n`, or a group of short flags of which the first is unknown.
    let name = given.trim_start_matches('-').split('=').next().unwrap_or_default();
    let (_, text) = HINTS.iter().find(|(names, _)| {
        names.iter().any(|known| known.replace('_', "-") == name.replace('_', "-").to_lowercase())
    })?;
    Some((*text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_flags_that_exist() {
        let command = crate::command();
        let mut flags: Vec<String> = Vec::new();
        let mut commands: Vec<&clap::Command> = vec![&command];
        while let Some(command) = commands.pop() {
            flags.extend(
                command.get_arguments().filter_map(|flag| flag.get_long()).map(str::to_owned),
            );
            commands.extend(command.get_subcommands());
        }
        for (names, text) in HINTS {
            for word in text.split(|c: char| !(c.is_alphanumeric() || c == '-')) {
                let Some(flag) = word.strip_prefix("--") else { continue };
                assert!(
                    flag == "help" || flags.iter().any(|known| known == flag),
                    "--{flag}: {text}"
                );
            }
            assert!(!names.is_empty());
        }
    }

    #[test]
    fn flags_of_other_tools_are_explained() {
        for (given, expected) in [
            (&["tercet", "train", "--num-epochs", "3"][..], "--steps"),
            (&["tercet", "train", "photos", "--batch_size=64"], "--batch PxK"),
            (&["tercet", "train", "--lr", "0.1"], "--learning-rate"),
            (&["tercet", "eval", "--model", "m.safetensors"], "without a flag"),
        ] {
            let error = crate::command().try_get_matches_from(given).unwrap_err();
            let hint = hint(&error).unwrap_or_default();
            assert!(hint.contains(expected), "{given:?}: {hint}");
        }
        let error =
            crate::command().try_get_matches_from(["tercet", "train", "--xyzzy"]).unwrap_err();
        assert_eq!(hint(&error), None);
    }
}
