//! `tercet.TripletLoss`: value, gradient and census of a batch.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use ndarray::ArrayView2;
use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use tercet::{Error, Evaluation, FalseNegatives, Labels, Objective, Preset, Selection, Triplet};

use crate::arrays::Vectors;
use crate::given::given;
use crate::labels::Classes;
use crate::others::Others;
use crate::outcome::Outcome;
use crate::parts::{Margin, Parts};
use crate::threads::{compute, compute_briefly};

/// Products of components up to which an evaluation takes a few milliseconds at most.
const BRIEF: usize = 1 << 26;

/// The three index arrays of a list of triplets: anchors, positives, negatives.
type Indices<'py> =
    (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

/// A triplet objective: distance × selection × penalty × reduction.
///
/// A triplet is an anchor a, a positive p of the same class and a negative n of another; all three are
/// different rows. The value is the reduction of φ(d(a,p) − d(a,n)) over the triplets that the
/// selection takes, where φ is the penalty and d the distance. All of them are evaluated exactly;
/// none is sampled, unless the selection draws.
///
/// Parameters
/// ----------
/// preset : str, optional
///     A named product; the parts that follow take the place of its own. Default: ``"batch-hard"``.
///
///     - ``"facenet"``: normalised, squared Euclidean, semi-hard, hinge 0.2, mean (Schroff et al. 2015)
///     - ``"batch-hard"``: Euclidean, hard, soft, mean (Hermans et al. 2017, eq. 5)
///     - ``"batch-all"``: Euclidean, all, hinge 0.2, mean (Hermans et al. 2017, eq. 6)
///     - ``"batch-all-nonzero"``: the same, averaged over the non-zero terms
///     - ``"lifted"``: generalised lifted structure, margin 1 (Hermans et al. 2017, eq. 7)
/// margin : float or "soft", optional
///     In the unit of the distance. A number alone makes a hinge, ``"soft"`` a soft penalty.
/// soft : bool, optional
///     ``True`` is the same as ``margin="soft"``; ``False`` asks for a hinge.
/// distance : str, optional
///     ``"euclidean"`` ‖x − y‖, ``"squared-euclidean"``, or ``"cosine"`` 1 − x·y / (‖x‖‖y‖).
/// metric : str, optional
///     Another name of ``distance``.
/// normalize : bool, optional
///     L2-normalise the vectors first; the gradient goes through it.
/// selection : str, optional
///     ``"all"``, ``"hard"``, ``"semi-hard"``, ``"semi-hard-all"``, ``"semi-hard-fallback"``,
///     ``"violating-random"``, ``"easy-positive"``, ``"easy-positive-semi-hard"``,
///     ``"distance-weighted"``, ``"n-hard"``, ``"random"``; parameters follow a colon, as in
///     ``"n-hard:positives=0..2,negatives=1..5"``.
/// penalty : str, optional
///     ``"hinge"`` max(0, x + margin), ``"soft"`` ln(1 + e^(x + margin)), ``"squared-hinge"``.
/// reduction : str, optional
///     ``"mean"`` over the selected triplets, ``"mean-active"`` over those with a positive penalty,
///     ``"mean-anchors"``, ``"sum"``.
/// temperature : float, optional
///     Of ``"supervised-contrastive"``, 0.1 by default.
///
/// Raises
/// ------
/// ValueError
///     An unknown name, a margin out of range, or parts that contradict each other.
///
/// Examples
/// --------
/// >>> import numpy as np, tercet
/// >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.2], [3.0, 1.2]], np.float32)
/// >>> outcome = tercet.TripletLoss("batch-hard")(x, ["ann", "ann", "bob", "bob"])
/// >>> outcome.gradient.shape, outcome.census.selected
/// ((4, 2), 4)
#[pyclass(frozen, subclass, module = "tercet")]
pub(crate) struct TripletLoss {
    objective: Objective,
}

#[pymethods]
impl TripletLoss {
    #[new]
    #[pyo3(signature = (preset=None, *, margin=None, soft=None, distance=None, metric=None, normalize=None, selection=None, penalty=None, reduction=None, temperature=None))]
    #[allow(clippy::too_many_arguments)] // the keywords of the Python class
    fn new(
        preset: Option<&str>,
        margin: Option<&Bound<'_, PyAny>>,
        soft: Option<bool>,
        distance: Option<&str>,
        metric: Option<&str>,
        normalize: Option<bool>,
        selection: Option<&str>,
        mut penalty: Option<&str>,
        reduction: Option<&str>,
        temperature: Option<f32>,
    ) -> PyResult<Self> {
        if distance.is_some() && metric.is_some() {
            return Err(PyTypeError::new_err("distance and metric are the same: give one of them"));
        }
        let mut margin = margin.map(Margin::read).transpose()?;
        match (soft, margin, penalty) {
            (None, ..) => {}
            (Some(true), None, None) => margin = Some(Margin::Soft),
            (Some(true), _, None | Some("soft")) => penalty = Some("soft"),
            (Some(false), None | Some(Margin::Number(_)), None) => penalty = Some("hinge"),
            (Some(false), _, Some(name)) if name != "soft" => {}
            (Some(soft), ..) => {
                return Err(PyValueError::new_err(format!(
                    "soft is {}: expected a margin and a penalty that agree with it",
                    if soft { "True" } else { "False" }
                )));
            }
        }
        let distance = distance.or(metric);
        let parts =
            Parts { distance, normalize, selection, penalty, margin, reduction, temperature };
        Ok(Self { objective: parts.of(preset)? })
    }

    /// Value, gradient and census of a batch.
    ///
    /// Parameters
    /// ----------
    /// embeddings : array, shape (B, D)
    ///     float32 is read where it is, whatever its strides; other numbers are converted to float32.
    ///     The array must not be changed by other threads during the call.
    /// labels : array or sequence, shape (B,)
    ///     Integers or strings.
    /// reference : tuple of (array of shape (R, D), labels of length R), optional
    ///     Positives and negatives come from these vectors only, and the embeddings are the anchors.
    ///     Both receive a gradient.
    /// frozen : tuple of (array of shape (F, D), labels of length F), optional
    ///     Further positives and negatives without a gradient, such as a memory of past batches.
    /// frozen_anchors : bool
    ///     Makes the frozen vectors anchors too.
    /// false_negatives : float, optional
    ///     Negatives whose cosine similarity to the anchor is above this share of the positive's, such
    ///     as 0.95, are ignored as probably false (NV-Retriever, arXiv 2407.15831). Needs normalised
    ///     vectors or the cosine distance, and an objective that selects triplets.
    /// matryoshka : sequence of int, optional
    ///     Adds up the objective over the first d components, for each d of this sequence; each prefix
    ///     is normalised by itself where the objective normalises (arXiv 2205.13147).
    /// seed : int, optional
    ///     Seed of a selection that draws: give each training step its own.
    ///
    /// Returns
    /// -------
    /// Outcome
    ///     ``value`` (float), ``gradient`` (float32, shape (B, D)), ``reference_gradient`` (float32,
    ///     shape (R, D), or None) and ``census``. Without a valid triplet value and gradient are 0.
    ///
    /// Raises
    /// ------
    /// TypeError
    ///     Embeddings that are not numbers, labels that are neither integers nor strings.
    /// ValueError
    ///     Shapes that do not fit together, NaN or infinity, vectors too long for float32.
    /// KeyboardInterrupt
    ///     Ctrl-C during the computation.
    #[pyo3(signature = (embeddings, labels, *, reference=None, frozen=None, frozen_anchors=false, false_negatives=None, matryoshka=None, seed=None))]
    #[allow(clippy::too_many_arguments)] // the keywords of the Python method
    fn __call__(
        &self,
        py: Python<'_>,
        embeddings: &Bound<'_, PyAny>,
        labels: &Bound<'_, PyAny>,
        reference: Option<&Bound<'_, PyAny>>,
        frozen: Option<&Bound<'_, PyAny>>,
        frozen_anchors: bool,
        false_negatives: Option<f32>,
        matryoshka: Option<Vec<usize>>,
        seed: Option<u64>,
    ) -> PyResult<Outcome> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let labels = Classes::read(labels, "labels")?;
        let others = match (reference, frozen) {
            (Some(_), Some(_)) => {
                return Err(PyValueError::new_err(
                    "reference and frozen vectors are given: expected one of them",
                ));
            }
            (Some(others), None) => Some(Others::read(others, &labels, "reference")?),
            (None, Some(others)) => Some(Others::read(others, &labels, "frozen")?),
            (None, None) => None,
        };
        let objective = self.seeded(seed);
        let view = embeddings.view();
        let others = others.as_ref().map(|others| (others.vectors.view(), &others.labels));
        let prefixes = matryoshka.unwrap_or_default();
        let options = Options {
            is_reference: reference.is_some(),
            frozen_anchors,
            false_negatives: false_negatives.map(|share| FalseNegatives { share }),
            prefixes: &prefixes,
        };
        let labels = &labels.labels;
        let candidates = view.nrows() + others.map_or(0, |(vectors, _)| vectors.nrows());
        let outcome = match view.nrows() * candidates * view.ncols() <= BRIEF {
            true => {
                compute_briefly(py, || evaluation(objective, view, labels, others, options).run())?
            }
            false => compute(py, |watch| {
                evaluation(objective, view, labels, others, options).progress(watch).run()
            })?,
        };
        Ok(Outcome::new(py, outcome))
    }

    /// The triplets that the selection takes, sorted by anchor, positive and negative.
    ///
    /// Parameters
    /// ----------
    /// embeddings : array, shape (B, D)
    /// labels : array or sequence, shape (B,)
    /// seed : int, optional
    ///     Seed of a selection that draws.
    ///
    /// Returns
    /// -------
    /// tuple of three int64 arrays, shape (T,)
    ///     Rows of the anchors, positives and negatives.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     As for the call; more than 2^28 triplets; an objective over all pairs, which selects none.
    #[pyo3(signature = (embeddings, labels, *, seed=None))]
    fn triplets<'py>(
        &self,
        py: Python<'py>,
        embeddings: &Bound<'py, PyAny>,
        labels: &Bound<'py, PyAny>,
        seed: Option<u64>,
    ) -> PyResult<Indices<'py>> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let labels = Classes::read(labels, "labels")?;
        let loss = self.product(seed)?;
        let view = embeddings.view();
        let triplets = compute(py, |_| selected(&loss, view, &labels.labels))?;
        let column = |row: fn(&Triplet) -> u32| -> Bound<'py, PyArray1<i64>> {
            triplets
                .iter()
                .map(|triplet| i64::from(row(triplet)))
                .collect::<Vec<_>>()
                .into_pyarray(py)
        };
        Ok((column(|t| t.anchor), column(|t| t.positive), column(|t| t.negative)))
    }

    /// The penalty of each triplet of :meth:`triplets`, in the same order.
    ///
    /// Returns
    /// -------
    /// float32 array, shape (T,)
    #[pyo3(signature = (embeddings, labels, *, seed=None))]
    fn per_triplet<'py>(
        &self,
        py: Python<'py>,
        embeddings: &Bound<'py, PyAny>,
        labels: &Bound<'py, PyAny>,
        seed: Option<u64>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let labels = Classes::read(labels, "labels")?;
        let loss = self.product(seed)?;
        let view = embeddings.view();
        let penalties =
            compute(py, |_| loss.triplet_penalties(view, selected(&loss, view, &labels.labels)?))?;
        Ok(penalties.into_pyarray(py))
    }

    /// Value, gradient and census over given triplets, in place of the selection.
    ///
    /// Parameters
    /// ----------
    /// embeddings : array, shape (B, D)
    /// triplets : tuple of three integer arrays, shape (T,)
    ///     Rows of the anchors, positives and negatives; labels do not matter. A triplet given twice
    ///     counts twice.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     The first triplet that names a row which does not exist, or one row twice; otherwise as for
    ///     the call.
    fn evaluate_triplets(
        &self,
        py: Python<'_>,
        embeddings: &Bound<'_, PyAny>,
        triplets: &Bound<'_, PyAny>,
    ) -> PyResult<Outcome> {
        let embeddings = Vectors::read(embeddings, "embeddings")?;
        let triplets = given(triplets)?;
        let loss = self.product(None)?;
        let view = embeddings.view();
        let outcome = compute(py, |_| loss.evaluate_triplets(view, &triplets))?;
        Ok(Outcome::new(py, outcome))
    }

    /// ``"euclidean"``, ``"squared-euclidean"`` or ``"cosine"``.
    #[getter]
    fn distance(&self) -> &'static str {
        self.objective.metric().distance.name()
    }

    /// Whether the vectors are L2-normalised first.
    #[getter]
    fn normalize(&self) -> bool {
        self.objective.metric().normalize
    }

    /// The selection with its parameters; the name of an objective that takes all pairs.
    #[getter]
    fn selection(&self) -> String {
        match self.objective {
            Objective::Triplet(loss) => loss.selection.to_string(),
            objective => preset_name(objective).to_owned(),
        }
    }

    /// ``"hinge"``, ``"soft"`` or ``"squared-hinge"``; the name of an objective that takes all pairs.
    #[getter]
    fn penalty(&self) -> &'static str {
        match self.objective {
            Objective::Triplet(loss) => loss.penalty.name(),
            objective => preset_name(objective),
        }
    }

    /// The temperature of ``"supervised-contrastive"``, otherwise None.
    #[getter]
    fn temperature(&self) -> Option<f64> {
        match self.objective {
            Objective::SupervisedContrastive(loss) => Some(shortest(loss.temperature)),
            _ => None,
        }
    }

    /// The margin, in the unit of the distance; 0 for an objective without one.
    #[getter]
    fn margin(&self) -> f64 {
        shortest(self.objective.margin())
    }

    /// ``"mean"``, ``"mean-active"``, ``"mean-anchors"`` or ``"sum"``.
    #[getter]
    fn reduction(&self) -> &'static str {
        match self.objective {
            Objective::Triplet(loss) => loss.reduction.name(),
            Objective::Lifted(loss) => loss.reduction.name(),
            Objective::MultiSimilarity(loss) => loss.reduction.name(),
            Objective::SupervisedContrastive(loss) => loss.reduction.name(),
        }
    }

    /// Arguments that make the same objective again, for pickle and copy.
    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let keywords = PyDict::new(py);
        keywords.set_item("distance", self.distance())?;
        keywords.set_item("normalize", self.normalize())?;
        match self.objective {
            Objective::Triplet(_) | Objective::Lifted(_) => {
                keywords.set_item("margin", self.margin())?;
            }
            Objective::SupervisedContrastive(_) => {
                keywords.set_item("temperature", self.temperature())?;
            }
            Objective::MultiSimilarity(_) => {}
        }
        keywords.set_item("reduction", self.reduction())?;
        let positional = match self.objective {
            Objective::Lifted(_)
            | Objective::MultiSimilarity(_)
            | Objective::SupervisedContrastive(_) => {
                PyTuple::new(py, [preset_name(self.objective)])?
            }
            Objective::Triplet(_) => {
                keywords.set_item("selection", self.selection())?;
                keywords.set_item("penalty", self.penalty())?;
                PyTuple::empty(py)
            }
        };
        Ok((positional, keywords))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().objective == self.objective)
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.words().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (positional, keywords) = self.__getnewargs_ex__(py)?;
        let mut words: Vec<String> = Vec::new();
        for word in positional {
            words.push(word.repr()?.extract()?);
        }
        for (key, value) in keywords {
            let key: String = key.cast::<PyString>()?.extract()?;
            words.push(format!("{key}={}", value.repr()?.extract::<String>()?));
        }
        Ok(format!("TripletLoss({})", words.join(", ")))
    }

    /// The objective in words.
    fn __str__(&self) -> String {
        self.words()
    }
}

impl TripletLoss {
    pub(crate) fn seeded(&self, seed: Option<u64>) -> Objective {
        seed.map_or(self.objective, |seed| self.objective.with_seed(seed))
    }

    fn words(&self) -> String {
        format!("{} distance, {}", self.objective.metric(), self.objective)
    }

    fn product(&self, seed: Option<u64>) -> PyResult<tercet::TripletLoss> {
        match self.seeded(seed) {
            Objective::Triplet(loss) => Ok(loss),
            objective => Err(PyValueError::new_err(format!(
                "objective is {name}: expected one that selects triplets, since {name} weighs all pairs",
                name = preset_name(objective)
            ))),
        }
    }
}

/// The name of an objective that takes all pairs.
fn preset_name(objective: Objective) -> &'static str {
    match objective {
        Objective::Triplet(_) => "triplets",
        Objective::Lifted(_) => Preset::Lifted.name(),
        Objective::MultiSimilarity(_) => Preset::MultiSimilarity.name(),
        Objective::SupervisedContrastive(_) => Preset::SupervisedContrastive.name(),
    }
}

/// Vectors and their labels.
type Labelled<'a> = (ArrayView2<'a, f32>, &'a Labels);

/// Options of an evaluation.
#[derive(Clone, Copy)]
struct Options<'a> {
    /// Whether the other vectors are reference vectors; otherwise they are frozen.
    is_reference: bool,
    frozen_anchors: bool,
    false_negatives: Option<FalseNegatives>,
    /// The lengths of the prefixes that are evaluated; none for the whole vectors.
    prefixes: &'a [usize],
}

/// An evaluation with other vectors.
fn evaluation<'a>(
    objective: Objective,
    embeddings: ArrayView2<'a, f32>,
    labels: &'a Labels,
    others: Option<Labelled<'a>>,
    options: Options<'a>,
) -> Evaluation<'a> {
    let mut evaluation = objective.evaluation(embeddings, labels).prefixes(options.prefixes);
    if let Some(rule) = options.false_negatives {
        evaluation = evaluation.without_false_negatives(rule);
    }
    if let Some((vectors, labels)) = others {
        evaluation = match options.is_reference {
            true => evaluation.reference(vectors, labels),
            false => evaluation.frozen(vectors, labels),
        };
    }
    match options.frozen_anchors {
        true => evaluation.frozen_anchors(),
        false => evaluation,
    }
}

/// The number that prints as short as the f32: 0.2 and not 0.20000000298.
pub(crate) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn selected(
    loss: &tercet::TripletLoss,
    embeddings: ArrayView2<f32>,
    labels: &Labels,
) -> Result<Vec<Triplet>, Error> {
    let selection: Selection = loss.selection;
    selection.triplets(embeddings, labels, loss.metric, loss.penalty.margin())
}
