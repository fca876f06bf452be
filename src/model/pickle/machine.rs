//! The stack machine of the pickle reader: one instruction after the other, none of which calls anything.

use std::collections::BTreeMap;

use super::{Global, Id, NAME, Node, Storage, refused};

/// Instructions of one pickle; a checkpoint with the state of its optimiser has some hundred thousand.
const INSTRUCTIONS: usize = 2_000_000;
/// Arguments of a call; torch gives at most 7.
const ARGUMENTS: usize = 16;

/// The stack machine.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    script: bool,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8], script: bool) -> Self {
        let (nodes, stack, marks, memo) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        Self { bytes, at: 0, script, nodes, stack, marks, memo }
    }

    /// Every value made, and the number of bytes read.
    pub(super) fn finish(self) -> (Vec<Node<'a>>, usize) {
        (self.nodes, self.at)
    }

    /// Runs to the end of the pickle; gives its value.
    pub(super) fn run(&mut self) -> Result<Id, String> {
        for _ in 0..INSTRUCTIONS {
            let place = self.at;
            let [code] = self.array::<1>()?;
            if code == b'.' {
                return self.pop();
            }
            self.step(code, place)?;
        }
        Err(format!("is a pickle of more than {INSTRUCTIONS} instructions"))
    }

    /// One instruction; names and codes as in Python's `pickletools`.
    fn step(&mut self, code: u8, place: usize) -> Result<(), String> {
        match code {
            0x80 => {
                let [version] = self.array()?; // PROTO
                if !(2..=5).contains(&version) {
                    return Err(format!("is a pickle of protocol {version}, expected 2 to 5"));
                }
            }
            0x95 => drop(self.array::<8>()?), // FRAME: a hint for readers of streams
            b'(' => self.marks.push(self.stack.len()), // MARK
            b'0' => drop(self.pop()?),        // POP
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => {
                let value = self.array::<1>()?;
                self.push(Node::Int(value[0].into())); // BININT1
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into())); // BININT2
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into())); // BININT
            }
            0x8a => {
                let [length] = self.array()?; // LONG1
                let value = self.long(length.into())?;
                self.push(Node::Int(value));
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value)); // BINFLOAT
            }
            b'X' | 0x8c | 0x8d => {
                let text = self.counted(code)?; // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
                let text =
                    std::str::from_utf8(text).map_err(|_| "is a pickle of a text that is not UTF-8".to_owned())?;
                self.push(Node::Text(text));
            }
            b'T' | b'U' => {
                // BINSTRING, SHORT_BINSTRING: how Python 2 wrote texts.
                let bytes = self.counted(code)?;
                self.push(std::str::from_utf8(bytes).map_or(Node::Bytes(bytes), Node::Text));
            }
            b'B' | b'C' | 0x8e => {
                let bytes = self.counted(code)?; // BINBYTES, SHORT_BINBYTES, BINBYTES8
                self.push(Node::Bytes(bytes));
            }
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'l' | b't' => {
                let items = self.marked()?; // LIST, TUPLE
                self.push(if code == b'l' { Node::List(items) } else { Node::Tuple(items) });
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(code - 0x84)); // TUPLE1 to TUPLE3
                let from = from.filter(|from| self.marks.last().is_none_or(|mark| mark <= from)).ok_or_else(empty)?;
                let items = self.stack.split_off(from);
                self.push(Node::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?; // APPEND
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.marked()?; // APPENDS
                self.extend(items)?;
            }
            b'd' => {
                let items = self.marked()?; // DICT
                let entries = pairs(&items)?;
                self.push(Node::Dict(entries));
            }
            b's' => {
                let value = self.pop()?; // SETITEM
                let key = self.pop()?;
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.marked()?; // SETITEMS
                self.set(pairs(&items)?)?;
            }
            b'h' => {
                let [key] = self.array()?;
                self.recall(key.into())?; // BINGET
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key)?; // LONG_BINGET
            }
            b'q' => {
                let [key] = self.array()?;
                self.remember(key.into())?; // BINPUT
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.remember(key)?; // LONG_BINPUT
            }
            0x94 => {
                let key = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                self.remember(key)?; // MEMOIZE
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                let found = Global::find(module, name, self.script)?;
                self.push(Node::Global(found));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                let (&Node::Text(module), &Node::Text(name)) = (self.node(module), self.node(name)) else {
                    return Err("asks to call something whose name is no text; nothing was run".to_owned());
                };
                let found = Global::find(module, name, self.script)?;
                self.push(Node::Global(found));
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?); // REDUCE, NEWOBJ
                self.call(callable, arguments, code == 0x81)?;
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.top()?); // BUILD
                self.build(object, state)?;
            }
            b'Q' => {
                let reference = self.pop()?; // BINPERSID
                let storage = self.storage(reference)?;
                self.push(Node::Storage(storage));
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?); // INST
                return Err(refused(&format!("{module}.{name}")));
            }
            0x82..=0x84 => {
                return Err("asks to call an entry of Python's extension registry; nothing was run".to_owned());
            }
            b'o' | 0x92 => return Err("asks to make an object of a class; nothing was run".to_owned()), // OBJ, NEWOBJ_EX
            other => {
                return Err(format!("has the instruction 0x{other:02x} at byte {place}, which no checkpoint needs"));
            }
        }
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) {
        // Each instruction makes at most one value, so their number fits.
        let id = Id(self.nodes.len() as u32);
        self.nodes.push(node);
        self.stack.push(id);
    }

    fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[Id]>::last).copied().ok_or_else(empty)
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Everything since the last mark.
    fn marked(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or_else(empty)?;
        Ok(self.stack.split_off(mark))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<N>).ok_or_else(short)?;
        self.at += N;
        Ok(*bytes)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], String> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)).ok_or_else(short)?;
        let bytes = self.bytes.get(self.at..end).ok_or_else(short)?;
        self.at = end;
        Ok(bytes)
    }

    /// Bytes whose number stands before them, in as many bytes as the instruction says.
    fn counted(&mut self, code: u8) -> Result<&'a [u8], String> {
        let length = match code {
            b'U' | b'C' | 0x8c => u64::from(self.array::<1>()?[0]),
            0x8d | 0x8e => u64::from_le_bytes(self.array()?),
            _ => u64::from(u32::from_le_bytes(self.array()?)),
        };
        self.slice(length)
    }

    /// A line of text, without its end.
    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(NAME).position(|&byte| byte == b'\n').ok_or_else(short)?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| "asks to call something whose name is not UTF-8".to_owned())
    }

    /// A whole number in two's complement, little-endian.
    fn long(&mut self, length: u64) -> Result<i128, String> {
        let bytes = self.slice(length)?;
        if bytes.len() > 16 {
            return Err(format!("is a pickle of a whole number of {length} bytes, expected at most 16"));
        }
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut whole = [if negative { 0xff } else { 0 }; 16];
        whole[..bytes.len()].copy_from_slice(bytes);
        Ok(i128::from_le_bytes(whole))
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let id =
            self.memo.get(&key).ok_or_else(|| format!("is a pickle that recalls value {key}, which it never kept"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), String> {
        if key as usize >= INSTRUCTIONS {
            return Err(format!("is a pickle that keeps a value as number {key}, expected fewer than {INSTRUCTIONS}"));
        }
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn extend(&mut self, more: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        match &mut self.nodes[list.0 as usize] {
            Node::List(items) => items.extend(more),
            Node::Opaque(_) => {}
            _ => return Err("is a pickle that appends to what is no list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, more: Vec<(Id, Id)>) -> Result<(), String> {
        let dict = self.top()?;
        match &mut self.nodes[dict.0 as usize] {
            Node::Dict(entries) => entries.extend(more),
            Node::Opaque(_) => {}
            _ => return Err("is a pickle that sets an entry of what is no dictionary".to_owned()),
        }
        Ok(())
    }

    /// What a call would give, for the few that are known; `new` makes an object of a class.
    fn call(&mut self, callable: Id, arguments: Id, new: bool) -> Result<(), String> {
        let items = match self.node(arguments) {
            Node::Tuple(items) if items.len() <= ARGUMENTS => items.clone(),
            _ => {
                return Err(format!(
                    "asks for a call without a tuple of at most {ARGUMENTS} arguments; nothing was run"
                ));
            }
        };
        let Node::Global(global) = self.node(callable) else {
            return Err("asks to call a value that names nothing; nothing was run".to_owned());
        };
        let made = match (global, items.as_slice()) {
            (Global::OrderedDict, []) => Node::Dict(Vec::new()),
            (Global::Tensor, [storage, offset, shape, strides, ..]) if !new => {
                self.tensor(*storage, *offset, *shape, *strides)?
            }
            (Global::Parameter, [first, ..]) if !new && matches!(self.node(*first), Node::Tensor { .. }) => {
                self.stack.push(*first);
                return Ok(());
            }
            (Global::Same, [first, ..]) if !new => {
                self.stack.push(*first);
                return Ok(());
            }
            (Global::Class(_), []) if new => Node::Object { class: callable, state: None },
            (Global::Opaque(name), _) => Node::Opaque(name),
            (Global::Class(name), _) => return Err(refused(name)),
            (other, _) => {
                return Err(format!(
                    "asks for a call of {other:?} with other arguments than torch gives; nothing was run"
                ));
            }
        };
        self.push(made);
        Ok(())
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Result<Node<'a>, String> {
        let size = |id: Id| match self.node(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        };
        let sizes = |id: Id| match self.node(id) {
            Node::Tuple(items) | Node::List(items) if items.len() <= 8 => {
                items.iter().map(|&item| size(item)).collect()
            }
            _ => None::<Vec<usize>>,
        };
        match (self.node(storage), size(offset), sizes(shape), sizes(strides)) {
            (Node::Storage(_), Some(offset), Some(shape), Some(strides)) if shape.len() == strides.len() => {
                Ok(Node::Tensor { storage, offset, shape, strides })
            }
            _ => {
                Err("is a pickle of a tensor without a storage, offset, shape and strides of numbers from 0 on"
                    .to_owned())
            }
        }
    }

    /// The state of an object: attributes of a module are kept, those of a dictionary (torch's notes about versions)
    /// and of what stays a name are not needed.
    fn build(&mut self, object: Id, state: Id) -> Result<(), String> {
        match &mut self.nodes[object.0 as usize] {
            Node::Object { state: kept @ None, .. } => *kept = Some(state),
            Node::Dict(_) | Node::Opaque(_) => {}
            _ => return Err("asks to set the state of a value that has none; nothing was run".to_owned()),
        }
        Ok(())
    }

    /// `('storage', torch.FloatStorage, key, location, number of values)`, and in the old container a sixth `None`.
    fn storage(&self, reference: Id) -> Result<Storage<'a>, String> {
        let wrong = || "is a pickle of a reference that is no storage of torch".to_owned();
        let Node::Tuple(parts) = self.node(reference) else { return Err(wrong()) };
        let parts: Vec<&Node<'a>> = parts.iter().map(|&part| self.node(part)).collect();
        match parts.as_slice() {
            [
                Node::Text("storage"),
                Node::Global(Global::Storage(element)),
                Node::Text(key),
                Node::Text(_),
                Node::Int(values),
                rest @ ..,
            ] if rest.is_empty() || rest == [&Node::None] => {
                let values = usize::try_from(*values).map_err(|_| wrong())?;
                Ok(Storage { key, element: *element, values })
            }
            [.., Node::Tuple(_)] if parts.len() == 6 => {
                Err("is a pickle of a storage that is a part of another: save the weights again with a newer torch"
                    .to_owned())
            }
            _ => Err(wrong()),
        }
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    } else {
        Err("is a pickle of a key without a value".to_owned())
    }
}

fn empty() -> String {
    "is a pickle that takes more from its stack than it put there".to_owned()
}

fn short() -> String {
    "is a pickle that ends before its end (cut short)".to_owned()
}
