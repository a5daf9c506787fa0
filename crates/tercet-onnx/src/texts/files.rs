//! Reads what a folder of sentence-transformers says about its encoder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tercet_train::data::{TextInput, TokenPooling};

use crate::OnnxOptions;

/// Where graphs are in a folder of sentence-transformers.
const GRAPHS: [&str; 2] = ["onnx/model.onnx", "model.onnx"];

/// The number of tokens if no file says one: that of BERT.
const MOST: usize = 512;

/// Numbers of tokens above this mean that there is no limit.
const UNLIMITED: u64 = 1 << 20;

/// The files of an encoder of texts.
#[derive(Debug)]
pub(crate) struct TextFiles {
    /// The graph.
    pub(crate) graph: PathBuf,
    /// The folder with the other files.
    folder: PathBuf,
}

impl TextFiles {
    /// The files of an encoder: `path` is a folder, or a graph with the other files beside it or in
    /// the folder above. The error says what a folder lacks.
    pub(crate) fn at(path: &Path) -> Result<Self, String> {
        if !path.is_dir() {
            let beside = path.parent().unwrap_or(Path::new("")).to_owned();
            let above = beside.join("..");
            let is_in_onnx = beside.file_name().is_some_and(|name| name == "onnx");
            let folder = match is_in_onnx && !beside.join(TOKENIZER).exists() {
                true => above,
                false => beside,
            };
            return Ok(Self { graph: path.to_owned(), folder });
        }
        let graph = GRAPHS.iter().map(|name| path.join(name)).find(|graph| graph.exists());
        match graph {
            Some(graph) => Ok(Self { graph, folder: path.to_owned() }),
            None => Err(format!(
                "it holds no graph: expected {}, as SentenceTransformer(…, backend=\"onnx\") of \
                 sentence-transformers writes it",
                GRAPHS.join(" or ")
            )),
        }
    }

    /// The content of `tokenizer.json`. The error says how it is written.
    pub(crate) fn tokenizer(&self) -> Result<Vec<u8>, String> {
        let path = self.folder.join(TOKENIZER);
        tercet_train::reading::read(&path).map_err(|error| {
            format!(
                "it reads tokens, and its tokeniser {} cannot be read: {error}; \
                 AutoTokenizer.from_pretrained(…).save_pretrained(…) of transformers writes it",
                path.display()
            )
        })
    }

    /// How texts enter the encoder: what the options say, or else what the files say, or else the
    /// defaults.
    pub(crate) fn input(&self, options: &OnnxOptions) -> Result<TextInput, String> {
        let modules = self.modules()?;
        let folder = modules.pooling.unwrap_or_else(|| "1_Pooling".to_owned());
        let pooling = match options.pooling {
            Some(pooling) => pooling,
            None => self.pooling(&format!("{folder}/config.json"))?.unwrap_or_default(),
        };
        let max_tokens = match options.max_tokens {
            Some(tokens) => tokens,
            None => self.max_tokens()?,
        };
        self.refuse_prompt()?;
        let input =
            TextInput { max_tokens, pooling, normalize: options.normalize || modules.normalizes };
        input.check().map_err(|error| error.to_string())?;
        Ok(input)
    }

    fn modules(&self) -> Result<Modules, String> {
        let mut modules = Modules::default();
        let Some(all) = self.json("modules.json")? else { return Ok(modules) };
        for module in all.as_array().into_iter().flatten() {
            let text = |key: &str| module.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("type").rsplit('.').next().unwrap_or_default() {
                "Transformer" => {}
                "Pooling" => modules.pooling = Some(text("path").to_owned()),
                "Normalize" => modules.normalizes = true,
                other => {
                    return Err(format!(
                        "its modules.json has a module {other}: expected Transformer, Pooling and \
                         Normalize; export the graph with that module in it, without modules.json"
                    ));
                }
            }
        }
        Ok(modules)
    }

    fn pooling(&self, name: &str) -> Result<Option<TokenPooling>, String> {
        let Some(config) = self.json(name)? else { return Ok(None) };
        let named = config.get("pooling_mode").and_then(Value::as_str).map(str::to_owned);
        let flags: Vec<String> = config
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| value.as_bool() == Some(true))
            .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
            .map(|mode| mode.trim_end_matches("_tokens").trim_end_matches("_token").to_owned())
            .collect();
        let modes = named.map_or(flags, |mode| vec![mode]);
        match modes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["mean"] => Ok(Some(TokenPooling::Mean)),
            ["cls"] => Ok(Some(TokenPooling::Cls)),
            [] => Ok(None),
            _ => Err(format!("its {name} pools by {}: expected mean or cls", modes.join(" and "))),
        }
    }

    /// As in sentence-transformers: its own limit, or else the smaller one of the tokeniser and the
    /// positions of the network.
    fn max_tokens(&self) -> Result<usize, String> {
        let number = |name: &str, key: &str| -> Result<Option<u64>, String> {
            let value = self.json(name)?.and_then(|config| config.get(key).and_then(Value::as_u64));
            Ok(value.filter(|tokens| (1..UNLIMITED).contains(tokens)))
        };
        if let Some(tokens) = number("sentence_bert_config.json", "max_seq_length")? {
            return Ok(tokens as usize);
        }
        let limits = [
            number("tokenizer_config.json", "model_max_length")?,
            number("config.json", "max_position_embeddings")?,
        ];
        Ok(limits.into_iter().flatten().min().map_or(MOST, |tokens| tokens as usize))
    }

    /// Refuses an encoder that expects words before each text.
    fn refuse_prompt(&self) -> Result<(), String> {
        let name = "config_sentence_transformers.json";
        let Some(config) = self.json(name)? else { return Ok(()) };
        match config.get("default_prompt_name").and_then(Value::as_str) {
            None => Ok(()),
            Some(prompt) => Err(format!(
                "its {name} puts the prompt `{prompt}` before each text, which is not supported: \
                 expected no default_prompt_name; write it into the texts and remove that key"
            )),
        }
    }

    fn json(&self, name: &str) -> Result<Option<Value>, String> {
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let refuse = |reason: String| format!("its {name}: {reason}");
        let text = fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        serde_json::from_str(&text).map(Some).map_err(|error| refuse(error.to_string()))
    }
}

/// The name of the file of a tokeniser.
const TOKENIZER: &str = "tokenizer.json";

/// What `modules.json` says.
#[derive(Debug, Default)]
struct Modules {
    /// The folder of the pooling.
    pooling: Option<String>,
    normalizes: bool,
}
