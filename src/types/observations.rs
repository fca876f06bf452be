//! Observations: what the model said about every probe, and about the texts. This is the waist between the model and
//! the measures, and the only file that names `arrow`: chunks are Arrow IPC files that pandas, polars and DuckDB open.
//!
//! Columns of a chunk: `id` (utf8), `cover` (f32, null for clean probes), `notes` (list of utf8), `embedding`
//! (fixed-size list of f32), and one column per block of 64 units of a tap, named `TAP#BLOCK`. Text features stand in a file
//! of the same shape, `*.texts.arrow`; the id of a prompt is the first 16 digits of its `digest`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::{Fingerprint, Matrix, ProbeId, ProbePlan, Quarantined, SharedPlan, Tap, digest};

/// Units per tap column.
const BLOCK: usize = 64;
/// Probes per record batch of the table of plans.
const BATCH: usize = 1 << 16;
const METADATA: &str = "clip-audit.content";

/// What the model said about the probes of one chunk, in plan order; probes that could not be used are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// The probes, in plan order.
    pub ids: Vec<ProbeId>,
    /// Share of pixels that differ from the clean twin.
    pub covers: Vec<Option<f32>>,
    /// Notes of the renderer.
    pub notes: Vec<Vec<String>>,
    /// Image features before normalisation, [probes, dimension].
    pub embeddings: Matrix,
    /// Pooled unit activations, [probes, units], per tap.
    pub taps: BTreeMap<Tap, Matrix>,
}

/// Why a chunk could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// The file system refused.
    #[error("chunk {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is no chunk of this program, or was changed after it was written.
    #[error("chunk {path}: {reason}; delete it and run again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Chunk {
    /// SHA-256 over everything in the chunk; kept in the file and compared on reading.
    fn content(&self) -> String {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for ((id, cover), notes) in self.ids.iter().zip(&self.covers).zip(&self.notes) {
            parts.push(id.to_string().into_bytes());
            parts.push(cover.map_or_else(Vec::new, |cover| cover.to_le_bytes().to_vec()));
            parts.push(notes.join("\n").into_bytes());
        }
        let taps = self.taps.iter().map(|(tap, values)| (tap.to_string(), values));
        for (name, matrix) in std::iter::once(("embedding".to_owned(), &self.embeddings)).chain(taps) {
            parts.push(name.into_bytes());
            parts.push((matrix.columns() as u64).to_le_bytes().to_vec());
            parts.push(matrix.values().iter().flat_map(|value| value.to_le_bytes()).collect());
        }
        digest(&parts)
    }
}

/// Columns `first..first+width` of a matrix as a fixed-size list column.
fn list_column(matrix: &Matrix, first: usize, width: usize) -> ArrayRef {
    let values: Vec<f32> = matrix.iter_rows().flat_map(|row| row[first..first + width].iter().copied()).collect();
    let field = Arc::new(Field::new_list_field(DataType::Float32, false));
    Arc::new(FixedSizeListArray::new(field, width as i32, Arc::new(Float32Array::from(values)), None))
}

fn blocks(units: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..units.div_ceil(BLOCK)).map(move |block| (block, block * BLOCK, BLOCK.min(units - block * BLOCK)))
}

/// Writes a chunk under a temporary name and renames it.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_chunk(path: &Path, chunk: &Chunk) -> Result<(), ChunkError> {
    let mut notes = ListBuilder::new(StringBuilder::new());
    for lines in &chunk.notes {
        for line in lines {
            notes.values().append_value(line);
        }
        notes.append(true);
    }
    let ids: StringArray = chunk.ids.iter().map(|id| Some(id.to_string())).collect();
    let covers: Float32Array = chunk.covers.iter().copied().collect();
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".to_owned(), Arc::new(ids)),
        ("cover".to_owned(), Arc::new(covers)),
        ("notes".to_owned(), Arc::new(notes.finish())),
        ("embedding".to_owned(), list_column(&chunk.embeddings, 0, chunk.embeddings.columns())),
    ];
    for (tap, values) in &chunk.taps {
        for (block, first, width) in blocks(values.columns()) {
            columns.push((format!("{tap}#{block:04}"), list_column(values, first, width)));
        }
    }
    write_table(path, std::iter::once(columns), HashMap::from([(METADATA.to_owned(), chunk.content())]))
}

/// Writes record batches of the same columns, under a temporary name, and renames the file.
fn write_table(
    path: &Path,
    mut batches: impl Iterator<Item = Vec<(String, ArrayRef)>>,
    metadata: HashMap<String, String>,
) -> Result<(), ChunkError> {
    let io = |source| ChunkError::Io { path: path.to_owned(), source };
    let arrow = |error: ArrowError| match error {
        ArrowError::IoError(_, source) => io(source),
        other => ChunkError::Damaged { path: path.to_owned(), reason: other.to_string() },
    };
    let first = batches.next().unwrap_or_default();
    let fields: Vec<Field> =
        first.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));

    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = temporary_file(folder, ".chunk-").map_err(io)?;
    {
        let mut writer = FileWriter::try_new(BufWriter::new(temporary.as_file_mut()), &schema).map_err(arrow)?;
        for columns in std::iter::once(first).chain(batches) {
            let columns = columns.into_iter().map(|(_, column)| column).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(arrow)?;
            writer.write(&batch).map_err(arrow)?;
        }
        writer.finish().map_err(arrow)?;
        writer.into_inner().map_err(arrow)?.flush().map_err(io)?;
    }
    temporary.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// Writes the plans as one Arrow IPC file to join with the chunks by `id`: `id`, `set`, `cluster`, `source`, `control`, and
/// one text column `label.NAME` per label, null where a probe has none of that name.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_probes(path: &Path, plans: &[ProbePlan]) -> Result<(), ChunkError> {
    let names: BTreeSet<&str> = plans.iter().flat_map(|plan| plan.labels.keys().map(|name| &**name)).collect();
    let columns = |plans: &[ProbePlan]| {
        fn text<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
            Arc::new(values.collect::<StringArray>())
        }
        let id = |id: &ProbeId| id.to_string();
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("id".to_owned(), text(plans.iter().map(|plan| Some(id(&plan.id))))),
            ("set".to_owned(), text(plans.iter().map(|plan| Some(&plan.set)))),
            ("cluster".to_owned(), text(plans.iter().map(|plan| Some(&plan.cluster)))),
            ("source".to_owned(), text(plans.iter().map(|plan| plan.source.as_ref().map(id)))),
            ("control".to_owned(), text(plans.iter().map(|plan| plan.control.as_ref().map(id)))),
        ];
        for name in &names {
            columns.push((format!("label.{name}"), text(plans.iter().map(|plan| plan.labels.get(name)))));
        }
        columns
    };
    // In parts: the columns of a million probes are larger than their plans.
    write_table(path, plans.chunks(BATCH).map(columns), HashMap::new())
}

/// A file that vanishes unless it is persisted, as readable as any other file the user makes: the process's mask applies.
///
/// # Errors
/// When the folder cannot be written.
pub fn temporary_file(folder: &Path, prefix: &str) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Reads a chunk whole and compares its contents with the digest it was written with.
///
/// # Errors
/// When the file cannot be read, is no chunk, or was changed.
pub fn read_chunk(path: &Path) -> Result<Chunk, ChunkError> {
    let damaged = |reason: String| ChunkError::Damaged { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|source| ChunkError::Io { path: path.to_owned(), source })?;
    let mut reader = FileReader::try_new(BufReader::new(file), None).map_err(|error| damaged(error.to_string()))?;
    let schema = reader.schema();
    let batch = reader
        .next()
        .ok_or_else(|| damaged("it holds no records".to_owned()))?
        .map_err(|error| damaged(error.to_string()))?;
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| damaged(format!("it has no column `{name}`")));

    let ids = column("id")?.as_string_opt::<i32>().ok_or_else(|| damaged("`id` is not text".to_owned()))?;
    let covers =
        column("cover")?.as_primitive_opt::<Float32Type>().ok_or_else(|| damaged("`cover` is not f32".to_owned()))?;
    let notes = column("notes")?.as_list_opt::<i32>().ok_or_else(|| damaged("`notes` is not a list".to_owned()))?;
    let list = |name: &str| -> Result<Matrix, ChunkError> {
        let wrong = || damaged(format!("`{name}` is not a fixed-size list of f32"));
        let lists = column(name)?.as_fixed_size_list_opt().ok_or_else(wrong)?;
        let values = lists.values().as_primitive_opt::<Float32Type>().ok_or_else(wrong)?;
        let width = usize::try_from(lists.value_length()).map_err(|_| wrong())?;
        Matrix::new(lists.len(), width, values.values().to_vec()).ok_or_else(wrong)
    };
    let mut parts: BTreeMap<Tap, Vec<Matrix>> = BTreeMap::new();
    for field in schema.fields() {
        if let Some((tap, _)) = field.name().rsplit_once('#') {
            let tap: Tap = tap.parse().map_err(damaged)?;
            parts.entry(tap).or_default().push(list(field.name())?);
        }
    }
    let chunk = Chunk {
        ids: ids.iter().map(|id| id.unwrap_or_default().parse().map_err(damaged)).collect::<Result<_, _>>()?,
        covers: covers.iter().collect(),
        notes: notes
            .iter()
            .map(|lines| {
                lines
                    .and_then(|lines| {
                        lines.as_string_opt::<i32>().map(|lines| lines.iter().flatten().map(str::to_owned).collect())
                    })
                    .unwrap_or_default()
            })
            .collect(),
        embeddings: list("embedding")?,
        taps: parts.into_iter().map(|(tap, blocks)| (tap, join_columns(&blocks))).collect(),
    };
    if schema.metadata().get(METADATA) != Some(&chunk.content()) {
        return Err(damaged("its contents do not match the digest it was written with".to_owned()));
    }
    Ok(chunk)
}

fn join_columns(blocks: &[Matrix]) -> Matrix {
    let rows = blocks.first().map_or(0, Matrix::rows);
    let columns = blocks.iter().map(Matrix::columns).sum();
    let values =
        (0..rows).flat_map(|row| blocks.iter().flat_map(move |block| block.row(row).iter().copied())).collect();
    Matrix::new(rows, columns, values).unwrap_or_default()
}

/// Where a chunk is.
#[derive(Clone, Debug)]
enum Source {
    Memory(Box<Chunk>),
    File(PathBuf),
}

/// One probe the model saw.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The plan: set, labels, twins, cluster.
    pub plan: SharedPlan,
    /// Share of pixels that differ from the clean twin.
    pub cover: Option<f32>,
    /// Notes of the renderer.
    pub notes: Vec<String>,
}

/// What the model said: facts per probe in memory, embeddings and activations read chunk by chunk.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// The probes seen, in plan order; the row of a probe is its place here.
    pub probes: Vec<Observed>,
    /// Inputs that could not be used.
    pub quarantined: Vec<Quarantined>,
    /// Fingerprint of the weights that said it: a unit is named by it.
    pub weights: Fingerprint,
    /// Every prompt of the readouts, once.
    pub prompts: Vec<String>,
    /// Text features before normalisation, [prompts, dimension].
    pub prompt_features: Matrix,
    /// What cosines are multiplied by before softmax (`exp(logit_scale)` of the checkpoint).
    pub logit_scale: f64,
    /// What is added to logits (0 for CLIP).
    pub logit_bias: f64,
    sources: Vec<Source>,
    rows: BTreeMap<ProbeId, usize>,
}

impl Observations {
    /// Appends a finished chunk of the probes at `span` of the plan. `path` is where the chunk stands; without one it is
    /// kept in memory.
    pub fn push(&mut self, plans: &Arc<Vec<ProbePlan>>, span: Range<usize>, chunk: Chunk, path: Option<PathBuf>) {
        // Both are in plan order, and the chunk may lack some.
        let mut places = span.filter_map(|place| SharedPlan::new(plans, place));
        for ((id, cover), notes) in chunk.ids.iter().zip(&chunk.covers).zip(&chunk.notes) {
            if let Some(plan) = places.find(|plan| plan.id == *id) {
                self.rows.insert(id.clone(), self.probes.len());
                self.probes.push(Observed { plan, cover: *cover, notes: notes.clone() });
            }
        }
        self.sources.push(path.map_or_else(|| Source::Memory(Box::new(chunk)), Source::File));
    }

    /// The row of a probe; `None` when it was quarantined or never planned.
    pub fn row(&self, id: &ProbeId) -> Option<usize> {
        self.rows.get(id).copied()
    }

    /// The rows of a probe set, in plan order.
    pub fn rows_of<'a>(&'a self, set: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.probes.iter().enumerate().filter(move |(_, probe)| &*probe.plan.set == set).map(|(row, _)| row)
    }

    /// Visits the image features, before normalisation, a chunk at a time: first row and [rows, dimension].
    ///
    /// # Errors
    /// When a chunk file cannot be read any more.
    pub fn for_each_chunk(&self, mut visit: impl FnMut(usize, &Chunk)) -> Result<(), ChunkError> {
        let mut first = 0;
        for source in &self.sources {
            let read;
            let chunk = match source {
                Source::Memory(chunk) => chunk,
                Source::File(path) => {
                    read = read_chunk(path)?;
                    &read
                }
            };
            visit(first, chunk);
            first += chunk.ids.len();
        }
        Ok(())
    }
}
