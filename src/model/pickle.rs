//! Pickles read as data. A pickle is a program for a stack machine that can call any function of Python; this reader
//! builds a tree from the instructions that torch.save and torch.jit.save write (protocols 2 to 5), keeps tensors as
//! references into their file, and refuses by its name whatever else is asked for. It runs nothing, does not recurse,
//! and allocates no more than a bound times the number of instructions.

mod machine;

use machine::Machine;

use super::entry::Element;

/// How deep values may stand inside each other; modules of a model stand some 20 deep.
const DEPTH: u32 = 100;

/// Bytes of the name of a function or class.
const NAME: usize = 1000;

/// A value of the tree, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u32);

/// What a value is. Texts borrow from the pickle's bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    /// Also an ordered one; a key may stand twice.
    Dict(Vec<(Id, Id)>),
    /// A module of TorchScript: its class, which is only a name, and its attributes.
    Object {
        class: Id,
        state: Option<Id>,
    },
    Storage(Storage<'a>),
    Tensor {
        storage: Id,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    },
    /// Something that training leaves in its state and no weights contain, by its name.
    Opaque(&'static str),
    Global(Global<'a>),
}

/// Values of one type in a row, kept beside the pickle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    /// Its name in the file.
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// Number of values.
    pub(super) values: usize,
}

/// The names of Python that a pickle may mention, by what they mean here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global<'a> {
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`: storage, offset, shape, strides.
    Tensor,
    /// `torch._utils._rebuild_parameter`: a tensor that is trained.
    Parameter,
    /// `torch.FloatStorage` and its like.
    Storage(Element),
    /// What gives its first argument back: `torch.Size`, and the lists of TorchScript.
    Same,
    /// A class of TorchScript, without its module.
    Class(&'a str),
    /// See [`Node::Opaque`].
    Opaque(&'static str),
}

/// What training scripts leave beside the weights. Nothing of it is made: it stays a name, and weights that contain it
/// are refused.
const OPAQUE: &[&str] = &[
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
    "torch.device",
    "torch.float16",
    "torch.bfloat16",
    "torch.float32",
    "torch.float64",
    "torch.int64",
    "torch.int32",
    "torch.uint8",
    "torch.bool",
];

impl<'a> Global<'a> {
    fn find(module: &'a str, name: &'a str, script: bool) -> Result<Self, String> {
        if module.len() + name.len() > NAME {
            return Err(format!("asks to call something with a name of more than {NAME} bytes; nothing was run"));
        }
        let whole = format!("{module}.{name}");
        if module == "torch"
            && let Some(element) = name.strip_suffix("Storage").and_then(Element::of_storage)
        {
            return Ok(Self::Storage(element));
        }
        match whole.as_str() {
            "collections.OrderedDict" => Ok(Self::OrderedDict),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => Ok(Self::Tensor),
            "torch._utils._rebuild_parameter" => Ok(Self::Parameter),
            "torch.Size" => Ok(Self::Same),
            "torch.jit._pickle.build_intlist"
            | "torch.jit._pickle.build_doublelist"
            | "torch.jit._pickle.build_boollist"
            | "torch.jit._pickle.build_tensorlist"
            | "torch.jit._pickle.restore_type_tag"
                if script =>
            {
                Ok(Self::Same)
            }
            _ if script && module.starts_with("__torch__") => Ok(Self::Class(name)),
            _ => {
                OPAQUE.iter().find(|name| **name == whole).map(|name| Self::Opaque(name)).ok_or_else(|| refused(&whole))
            }
        }
    }
}

fn refused(name: &str) -> String {
    format!("asks to call {name}, which no checkpoint needs; nothing was run")
}

/// A pickle as a tree.
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    /// Bytes the pickle takes; another may follow.
    pub(super) length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that the bytes begin with. `script` allows what TorchScript writes: classes as names, with
    /// attributes.
    ///
    /// # Errors
    /// What is asked for that is not data, or where the bytes are no pickle.
    pub(super) fn read(bytes: &'a [u8], script: bool) -> Result<Self, String> {
        if bytes.first() != Some(&0x80) {
            return Err("is no pickle of protocol 2 to 5, as torch writes them; nothing was run".to_owned());
        }
        let mut machine = Machine::new(bytes, script);
        let root = machine.run()?;
        let (nodes, length) = machine.finish();
        let pickle = Self { nodes, root, length };
        pickle.check_depth()?;
        Ok(pickle)
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// The value as a whole.
    pub(super) fn only(&self) -> &Node<'a> {
        self.node(self.root)
    }

    /// Every storage mentioned, also by what nobody reads.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    /// The name of an object's class, without its module.
    pub(super) fn class(&self, object: Id) -> Option<&str> {
        let Node::Object { class, .. } = self.node(object) else { return None };
        match self.node(*class) {
            Node::Global(Global::Class(name)) => name.rsplit('.').next(),
            _ => None,
        }
    }

    /// Refuses values that contain themselves and those that stand too deep, so that a walk down the tree ends.
    fn check_depth(&self) -> Result<(), String> {
        #[derive(Clone, Copy)]
        enum Seen {
            Not,
            Open,
            Depth(u32),
        }
        let mut seen = vec![Seen::Not; self.nodes.len()];
        let mut todo = vec![(self.root, false)];
        while let Some((id, leave)) = todo.pop() {
            let place = id.0 as usize;
            if leave {
                let below = |child: &Id| match seen[child.0 as usize] {
                    Seen::Depth(depth) => depth + 1,
                    Seen::Not | Seen::Open => 0,
                };
                let depth = self.children(id).iter().map(below).max().unwrap_or(0);
                if depth > DEPTH {
                    return Err(format!("is a pickle of values more than {DEPTH} deep inside each other"));
                }
                seen[place] = Seen::Depth(depth);
                continue;
            }
            match seen[place] {
                Seen::Depth(_) => continue,
                Seen::Open => return Err("is a pickle of a value that contains itself".to_owned()),
                Seen::Not => {}
            }
            seen[place] = Seen::Open;
            todo.push((id, true));
            for child in self.children(id) {
                match seen[child.0 as usize] {
                    Seen::Open => return Err("is a pickle of a value that contains itself".to_owned()),
                    Seen::Not => todo.push((child, false)),
                    Seen::Depth(_) => {}
                }
            }
        }
        Ok(())
    }

    fn children(&self, id: Id) -> Vec<Id> {
        match self.node(id) {
            Node::List(items) | Node::Tuple(items) => items.clone(),
            Node::Dict(entries) => entries.iter().flat_map(|&(key, value)| [key, value]).collect(),
            Node::Object { state: Some(state), .. } => vec![*state],
            Node::Tensor { storage, .. } => vec![*storage],
            _ => Vec::new(),
        }
    }
}
