//! The help of each command in addition to the descriptions of its flags.

/// The page of one command.
pub(super) struct Page {
    /// Its name, preceded by the names of its parent commands.
    pub(super) command: &'static str,
    /// The flags of the short help; if empty, it shows all.
    pub(super) short: &'static [&'static str],
    /// The headings, each with its flags.
    pub(super) headings: &'static [(&'static str, &'static [&'static str])],
    /// One command per line, followed by three or more spaces and its description.
    pub(super) examples: &'static str,
}

/// The groups of commands, in their order.
pub(super) const GROUPS: &[(&str, &[&str])] = &[
    ("Train and evaluate", &["train", "eval", "runs", "loss"]),
    ("Use a model", &["embed", "compare", "cluster", "export"]),
    ("Search", &["gallery", "serve", "upgrade"]),
    ("Data and machine", &["data", "device", "bench", "doctor"]),
    ("This program", &["completions", "man"]),
];

pub(super) const PAGES: &[Page] = &[
    Page {
        command: "train",
        short: &[
            "holdout", "size", "augment", "steps", "batch", "objective", "margin", "encoder",
            "embedding-dim", "learning-rate", "seed", "run", "resume", "out",
        ],
        headings: &[],
        examples: "  tercet train                                    the embedded glyphs, about a minute
  tercet train photos --steps 2000                one subfolder per class
  tercet train photos --backbone encoder.onnx     a head on a frozen encoder
  tercet train --resume runs/photos-1             continue after an interruption",
    },
    Page {
        command: "eval",
        short: &[
            "protocol", "all-classes", "classes", "labels", "gallery", "gallery-labels", "pairs",
            "normalize", "distance", "rerank", "report", "skip-bad", "seed", "threads",
        ],
        headings: &[],
        examples: "  tercet eval model.safetensors photos --report report.html
  tercet eval old.safetensors new.safetensors photos       is the difference real?
  tercet eval vectors.npy --labels labels.txt
  tercet eval model.safetensors lfw --protocol verification",
    },
    Page {
        command: "embed",
        short: &["out", "labels", "views", "skip-bad", "onnx", "threads"],
        headings: &[
            ("Input and output", &["out", "labels", "label-from", "skip-bad", "views", "dimensions"]),
            (
                "Encoders of other programs",
                &[
                    "onnx", "size", "fit", "mean", "std", "layout", "output", "max-tokens",
                    "token-pooling", "normalize",
                ],
            ),
            ("Machine", &["threads"]),
        ],
        examples: "  tercet embed model.safetensors photos --out photos.safetensors
  tercet embed --onnx encoder.onnx photos --out photos.npy
  tercet embed --onnx encoder texts.csv --out texts.npy        sentences",
    },
    Page {
        command: "export",
        short: &[],
        headings: &[],
        examples: "  tercet export model.safetensors --onnx model.onnx",
    },
    Page {
        command: "compare",
        short: &[],
        headings: &[],
        examples: "  tercet compare model.safetensors ann-1.jpg ann-2.jpg
  tercet compare model.safetensors a.jpg b.jpg c.jpg --far 0.001
  tercet compare model.safetensors 'where is my parcel' 'has it been sent'",
    },
    Page {
        command: "cluster",
        short: &[],
        headings: &[],
        examples: "  tercet cluster model.safetensors photos --folders groups
  tercet cluster vectors.npy --threshold 0.9 --out groups.csv",
    },
    Page {
        command: "loss",
        short: &["labels", "preset", "distance", "normalize", "selection", "margin", "gradient", "threads"],
        headings: &[],
        examples: "  tercet loss vectors.npy --labels labels.txt
  tercet loss vectors.safetensors --preset facenet --gradient gradient.npy",
    },
    Page {
        command: "gallery create",
        short: &[],
        headings: &[],
        examples: "  tercet gallery create faces photos --model model.safetensors",
    },
    Page {
        command: "gallery search",
        short: &[],
        headings: &[],
        examples: "  tercet gallery search faces query.jpg
  tercet gallery search questions --text 'where is my parcel'",
    },
    Page {
        command: "upgrade",
        short: &["model", "apply", "pictures", "measure", "rollback", "finish"],
        headings: &[],
        examples: "  tercet upgrade faces --model new.safetensors                   is the new model worth it?
  tercet upgrade faces --model new.safetensors --apply backfill
  tercet upgrade faces --rollback",
    },
    Page {
        command: "serve",
        short: &[],
        headings: &[],
        examples: "  tercet serve                 the embedded pictures, to try the page
  tercet serve faces",
    },
    Page {
        command: "data info",
        short: &[],
        headings: &[],
        examples: "  tercet data info photos",
    },
    Page {
        command: "bench",
        short: &[],
        headings: &[],
        examples: "  tercet bench --quick",
    },
    Page {
        command: "completions",
        short: &[],
        headings: &[],
        examples: "  tercet completions bash      write it to ~/.local/share/bash-completion/completions/tercet
  tercet completions zsh       write it to a file _tercet in a folder of $fpath
  tercet completions fish      write it to ~/.config/fish/completions/tercet.fish",
    },
    Page {
        command: "man",
        short: &[],
        headings: &[],
        examples: "  tercet man                   the page of `tercet`, for man -l -
  tercet man --out man1        a page for each command in the folder man1
  tercet man --markdown        all commands, flags and defaults as one Markdown page",
    },
];
