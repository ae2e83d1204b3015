//! Evaluates a program over chunks: one match per node and chunk, a typed loop inside. What text functions and lookups
//! make of texts and dates is computed once per distinct value. Does not parse, and knows nothing of tables.

mod dictionary;
mod domains;
#[cfg(test)]
mod tests;

use crate::chunk::{Cell, Column, ColumnBuilder, ColumnView, DataType, Scalar};
use crate::expr::Lookup;
use crate::expr::eval::dictionary::{Dictionary, append};
use crate::expr::eval::domains::{Distinct, Domain, Domains, Key};
use crate::expr::kernels::{self, Argument, Connective, Evaluated, Fault, Operand};
use crate::expr::program::{FaultKind, Function, NodeId, Op, Program};

/// The bounds of what an evaluator remembers of the distinct values of one column, or of one combination of columns.
#[derive(Debug, Clone, Copy)]
pub struct DictionaryLimits {
    /// Distinct values, after which all are forgotten. One chunk may pass the limit; 0 remembers nothing beyond it.
    pub entries: usize,
    /// Bytes of these values and of the texts computed from them, likewise.
    pub bytes: usize,
    /// Rows after each of which it is looked at whether that pays: if over half of them held new values, values are no longer
    /// remembered. 0 does so from the start.
    pub window_rows: usize,
}

impl Default for DictionaryLimits {
    /// Sized so that the hash table of a worker stays in its second-level cache.
    fn default() -> Self {
        DictionaryLimits { entries: 65_536, bytes: 4 << 20, window_rows: 16_384 }
    }
}

/// Evaluates the roots of a program; one for each worker.
#[derive(Debug)]
pub struct Evaluator<'p> {
    program: &'p Program,
    lookups: Vec<&'p Lookup>,
    roots: Vec<NodeId>,
    domains: Vec<Domain>,
    /// Parts stand in front of the pairs that are made of them.
    dictionaries: Vec<Dictionary>,
    /// The roots that are literals, each as a column of one row.
    literals: Vec<(NodeId, Column)>,
    /// What nodes are for the rows of the chunk at hand.
    values: Vec<Option<Evaluated>>,
    /// The faults of each root that is handed out encoded.
    encoded_faults: Vec<(NodeId, Vec<Fault>)>,
    /// As many zeros as the longest chunk had rows: the codes of a literal.
    zeros: Vec<u32>,
}

/// What the roots are for the rows of a chunk, until the next one is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Results<'a> {
    evaluator: &'a Evaluator<'a>,
    inputs: &'a [Option<Column>],
    len: usize,
}

impl<'p> Evaluator<'p> {
    /// An evaluator for the roots of a program. `Op::Lookup` numbers point into `lookups`.
    pub fn new(program: &'p Program, lookups: Vec<&'p Lookup>, roots: &[NodeId]) -> Self {
        Evaluator::with_limits(program, lookups, roots, DictionaryLimits::default())
    }

    /// The same with other bounds; the results do not depend on them.
    pub fn with_limits(
        program: &'p Program,
        lookups: Vec<&'p Lookup>,
        roots: &[NodeId],
        limits: DictionaryLimits,
    ) -> Self {
        let domains =
            if limits.window_rows == 0 { Domains::rows_only(program, roots) } else { Domains::new(program, roots) };
        let dictionary = |plan: Distinct| {
            let memos = plan.wanted.iter().map(|id| (*id, empty(program.data_type(*id)))).collect();
            Dictionary::new(plan, memos, limits)
        };
        let literal = |id: &NodeId| {
            let value = program.as_literal(*id)?;
            Some((*id, Column::repeat(value, program.data_type(*id).physical(), 1)))
        };
        Evaluator {
            program,
            lookups,
            roots: roots.to_vec(),
            dictionaries: domains.dictionaries.into_iter().map(dictionary).collect(),
            domains: domains.of,
            literals: roots.iter().filter_map(literal).collect(),
            values: Vec::new(),
            encoded_faults: Vec::new(),
            zeros: Vec::new(),
        }
    }

    /// Forgets the values of the last chunk, and with them the buffers that its texts lie in.
    pub fn forget_chunk(&mut self) {
        self.values.clear();
    }

    /// Evaluates all roots over a chunk of `len` rows. `Op::Input` numbers point into `inputs`; a column that no root
    /// needs may be absent.
    ///
    /// # Panics
    /// If a column that a root needs is absent, or of another physical type than the program says.
    pub fn evaluate<'a>(&'a mut self, inputs: &'a [Option<Column>], len: usize) -> Results<'a> {
        self.zeros.resize(self.zeros.len().max(len), 0);
        self.values.clear();
        self.values.resize_with(self.program.nodes().len(), || None);
        self.encoded_faults.clear();
        self.decide();
        for place in 0..self.dictionaries.len() {
            if self.dictionaries[place].active {
                self.evaluate_distinct(place, inputs);
            }
        }
        for index in 0..self.values.len() {
            let by_rows = match self.domains[index] {
                Domain::None => false,
                Domain::Rows | Domain::Everywhere => true,
                Domain::Distinct(place) => !self.dictionaries[place].active,
            };
            if by_rows {
                self.gather_arguments(index);
                let frame = Frame { program: self.program, lookups: &self.lookups, inputs, len };
                self.values[index] = Some(frame.compute(index, &self.values));
            }
        }
        Results { evaluator: self, inputs, len }
    }

    /// Gives up the dictionaries that do not pay, and those that are of no use without them.
    fn decide(&mut self) {
        for place in 0..self.dictionaries.len() {
            let part_is_missing = match self.dictionaries[place].plan.key {
                Key::Pair(parts) => parts.iter().any(|part| !self.dictionaries[*part].active),
                Key::Text(_) | Key::Date(_) => false,
            };
            let dictionary = &mut self.dictionaries[place];
            dictionary.decide();
            if dictionary.active && part_is_missing {
                dictionary.give_up();
            }
        }
        for place in (0..self.dictionaries.len()).rev() {
            let is_part = |dictionary: &Dictionary| {
                dictionary.active && matches!(dictionary.plan.key, Key::Pair(parts) if parts.contains(&place))
            };
            let is_used = !self.dictionaries[place].memos.is_empty() || self.dictionaries.iter().any(is_part);
            if self.dictionaries[place].active && !is_used {
                self.dictionaries[place].give_up();
            }
        }
    }

    /// Computes the nodes of a dictionary for the values that were not seen before.
    fn evaluate_distinct(&mut self, place: usize, inputs: &[Option<Column>]) {
        let (parts, rest) = self.dictionaries.split_at_mut(place);
        let dictionary = &mut rest[0];
        let fresh = match dictionary.plan.key {
            Key::Text(input) | Key::Date(input) => dictionary.encode(column(inputs, input)),
            Key::Pair([left, right]) => dictionary.encode_pairs([&parts[left], &parts[right]]),
        };
        if !fresh.is_empty() {
            let mut values: Vec<Option<Column>> = inputs.iter().map(|_| None).collect();
            for input in &dictionary.plan.inputs {
                values[*input] = Some(column(inputs, *input).gather(&fresh));
            }
            let frame = Frame { program: self.program, lookups: &self.lookups, inputs: &values, len: fresh.len() };
            let mut computed: Vec<Option<Evaluated>> = vec![None; self.values.len()];
            for index in &dictionary.plan.nodes {
                computed[*index] = Some(frame.compute(*index, &computed));
            }
            for (id, memo) in &mut dictionary.memos {
                match (&computed[id.0 as usize], &self.program.node(*id).op) {
                    (Some(evaluated), _) => append(memo, evaluated),
                    (None, Op::Input(input)) => {
                        append(memo, &Evaluated { column: column(&values, *input).clone(), faults: Vec::new() });
                    }
                    (None, op) => unreachable!("{op:?} is wanted and not computed"),
                }
            }
        }
        for (id, memo) in &dictionary.memos {
            if self.roots.contains(id) {
                self.encoded_faults.push((*id, dictionary.faults_of(memo)));
            }
        }
    }

    /// Takes to the rows what a node that is computed there needs of the dictionaries.
    fn gather_arguments(&mut self, index: usize) {
        for argument in self.program.nodes()[index].op.arguments() {
            let place = argument.0 as usize;
            if let Domain::Distinct(dictionary) = self.domains[place]
                && self.values[place].is_none()
                && let Some(memo) = self.dictionaries[dictionary].memo(argument)
            {
                self.values[place] = Some(self.dictionaries[dictionary].rows_of(memo));
            }
        }
    }
}

impl<'a> Results<'a> {
    /// What a root is for each row.
    ///
    /// # Panics
    /// If the node is not one of the evaluator's roots.
    pub fn view(&self, root: NodeId) -> ColumnView<'a> {
        let evaluator = self.evaluator;
        let encoded = |dictionary: &'a Dictionary| {
            let memo = dictionary.memo(root).filter(|_| dictionary.active)?;
            Some(ColumnView::Encoded {
                codes: &dictionary.codes,
                entries: &memo.column,
                generation: dictionary.generation,
            })
        };
        if let Some(view) = evaluator.dictionaries.iter().find_map(encoded) {
            return view;
        }
        match (&evaluator.program.node(root).op, &evaluator.values[root.0 as usize]) {
            (Op::Input(column), _) => ColumnView::Rows(self::column(self.inputs, *column)),
            (_, Some(evaluated)) => ColumnView::Rows(&evaluated.column),
            (_, None) => match evaluator.literals.iter().find(|(id, _)| *id == root) {
                Some((_, entries)) => {
                    ColumnView::Encoded { codes: &evaluator.zeros[..self.len], entries, generation: 0 }
                }
                None => panic!("{root:?} is not a root"),
            },
        }
    }

    /// The rows in which a root has no value, ascending; it is NULL there.
    pub fn faults(&self, root: NodeId) -> &'a [Fault] {
        let evaluator = self.evaluator;
        if let Some((_, faults)) = evaluator.encoded_faults.iter().find(|(id, _)| *id == root) {
            return faults;
        }
        evaluator.values[root.0 as usize].as_ref().map_or(&[], |evaluated| &evaluated.faults)
    }
}

/// Calls a function on single values: for constants, and for SQLite, which has the same functions under the same names.
///
/// # Errors
/// The fault of the function.
pub fn call_scalar(
    function: &Function,
    arguments: &[Cell<'_>],
    types: &[DataType],
    result: DataType,
) -> Result<Scalar, FaultKind> {
    let arguments: Vec<Argument<'_>> = arguments
        .iter()
        .zip(types)
        .map(|(cell, data_type)| Argument { operand: Operand::Scalar(*cell), data_type: *data_type, faults: &[] })
        .collect();
    let evaluated = call(function, &arguments, result, 1);
    match evaluated.faults.first() {
        Some((_, kind)) => Err(*kind),
        None => Ok(evaluated.column.get(0).to_scalar()),
    }
}

/// A function of its arguments, with the faults that count.
fn call(function: &Function, arguments: &[Argument<'_>], result: DataType, len: usize) -> Evaluated {
    match function {
        Function::And => kernels::connect(Connective::And, arguments, len),
        Function::Or => kernels::connect(Connective::Or, arguments, len),
        Function::Coalesce => kernels::coalesce(arguments, result.physical(), len),
        _ => {
            let mut evaluated = kernels::call(function, arguments, result, len);
            for argument in arguments {
                evaluated.add_faults(argument.faults);
            }
            evaluated
        }
    }
}

fn empty(data_type: DataType) -> Evaluated {
    Evaluated { column: ColumnBuilder::new(data_type.physical(), 0).finish(), faults: Vec::new() }
}

/// An input column.
///
/// # Panics
/// If it is absent.
fn column(inputs: &[Option<Column>], place: usize) -> &Column {
    match inputs.get(place) {
        Some(Some(column)) => column,
        _ => panic!("column {place} is needed and absent"),
    }
}

/// What nodes are computed from.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    program: &'a Program,
    lookups: &'a [&'a Lookup],
    inputs: &'a [Option<Column>],
    len: usize,
}

impl<'a> Frame<'a> {
    fn compute(self, index: usize, values: &[Option<Evaluated>]) -> Evaluated {
        let node = &self.program.nodes()[index];
        match &node.op {
            Op::Input(_) | Op::Literal(_) => unreachable!("inputs and literals are taken as they are"),
            Op::Lookup { lookup, column, key } => {
                let key = self.argument(*key, values);
                let mut evaluated = kernels::lookup(key.operand, self.lookups[*lookup], *column, self.len);
                evaluated.add_faults(key.faults);
                evaluated
            }
            Op::Call(function, arguments) => {
                let arguments: Vec<Argument<'_>> = arguments.iter().map(|id| self.argument(*id, values)).collect();
                call(function, &arguments, node.data_type, self.len)
            }
            Op::Case { branches, otherwise } => {
                let argument = |id: NodeId| self.argument(id, values);
                let branches: Vec<_> = branches.iter().map(|(when, then)| (argument(*when), argument(*then))).collect();
                kernels::case(&branches, argument(*otherwise), node.data_type.physical(), self.len)
            }
        }
    }

    fn argument<'v>(self, id: NodeId, values: &'v [Option<Evaluated>]) -> Argument<'v>
    where
        'a: 'v,
    {
        let node = self.program.node(id);
        let (operand, faults): (Operand<'v>, &'v [Fault]) = match (&node.op, &values[id.0 as usize]) {
            (Op::Input(column), _) => (Operand::Column(self::column(self.inputs, *column)), &[]),
            (Op::Literal(value), _) => (Operand::Scalar(value.as_cell()), &[]),
            (_, Some(evaluated)) => (Operand::Column(&evaluated.column), &evaluated.faults),
            (op, None) => unreachable!("{op:?} is used before it is computed"),
        };
        Argument { operand, data_type: node.data_type, faults }
    }
}
