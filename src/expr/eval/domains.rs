//! Where each node of a program is computed: for every row, or once for each distinct value of what it depends on. Decided
//! once, from the program alone.

use crate::chunk::{DataType, Physical};
use crate::expr::program::{Function, NodeId, Op, Program};

/// Where a node is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// Nowhere: no root needs it, or it is an input or a literal.
    None,
    /// For every row.
    Rows,
    /// Everywhere: it depends on no input.
    Everywhere,
    /// Once for each distinct value of what the dictionary of that place is made for.
    Distinct(usize),
}

/// The domains of all nodes, and the dictionaries.
#[derive(Debug)]
pub(super) struct Domains {
    /// The domain of each node.
    pub(super) of: Vec<Domain>,
    /// What there are dictionaries for; parts stand in front of the pairs that are made of them.
    pub(super) dictionaries: Vec<Distinct>,
}

/// What a dictionary is made for.
#[derive(Debug)]
pub(super) struct Distinct {
    /// Whose distinct values it has.
    pub(super) key: Key,
    /// All columns that the key is made of, by their places in the input, ascending.
    pub(super) inputs: Vec<usize>,
    /// The nodes to compute for each value, ascending.
    pub(super) nodes: Vec<usize>,
    /// Those that are wanted outside: by the taker of the results, or by nodes of other domains.
    pub(super) wanted: Vec<NodeId>,
}

/// What the values of a dictionary are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Those of a text column.
    Text(usize),
    /// Those of a date column.
    Date(usize),
    /// Pairs of those of two other dictionaries.
    Pair([usize; 2]),
}

/// Which inputs a node depends on, ascending; `None` when one of them has no dictionary, or when there are too many.
type Inputs = Option<Vec<usize>>;

/// More columns than these have too many different combinations to expect that they come again.
const MOST_INPUTS: usize = 3;

impl Domains {
    pub(super) fn new(program: &Program, roots: &[NodeId]) -> Self {
        let inputs = inputs(program);
        let mut of = first_choice(program, &inputs, &needed(program, roots));
        let mut dictionaries = Vec::new();
        for (index, domain) in of.iter_mut().enumerate() {
            if let (Domain::Distinct(place), Some(inputs)) = (domain, &inputs[index]) {
                *place = dictionary_of(program, inputs, &mut dictionaries);
            }
        }
        // What only cheap nodes lie below a costly one must be known for each distinct value, too.
        for index in (0..of.len()).rev() {
            if let domain @ Domain::Distinct(_) = of[index] {
                for argument in program.nodes()[index].op.arguments() {
                    if of[argument.0 as usize] == Domain::Rows {
                        of[argument.0 as usize] = domain;
                    }
                }
            }
        }
        for (place, dictionary) in dictionaries.iter_mut().enumerate() {
            dictionary.nodes = computed_in(program, &of, place);
            dictionary.wanted = wanted_of(program, roots, &of, place, dictionary.key);
        }
        Domains { of, dictionaries }
    }

    /// Every node for every row.
    pub(super) fn rows_only(program: &Program, roots: &[NodeId]) -> Self {
        let computed = |(needed, op): (bool, &Op)| match op {
            Op::Lookup { .. } | Op::Call(..) | Op::Case { .. } if needed => Domain::Rows,
            _ => Domain::None,
        };
        let ops = program.nodes().iter().map(|node| &node.op);
        let of: Vec<Domain> = needed(program, roots).into_iter().zip(ops).map(computed).collect();
        Domains { of, dictionaries: Vec::new() }
    }
}

fn needed(program: &Program, roots: &[NodeId]) -> Vec<bool> {
    let mut needed = vec![false; program.nodes().len()];
    roots.iter().for_each(|root| needed[root.0 as usize] = true);
    for (index, node) in program.nodes().iter().enumerate().rev() {
        if needed[index] {
            node.op.arguments().iter().for_each(|argument| needed[argument.0 as usize] = true);
        }
    }
    needed
}

fn inputs(program: &Program) -> Vec<Inputs> {
    let mut inputs: Vec<Inputs> = Vec::with_capacity(program.nodes().len());
    for node in program.nodes() {
        inputs.push(match node.op {
            Op::Input(column) => matches!(node.data_type, DataType::Text | DataType::Date).then(|| vec![column]),
            _ => {
                let mut all: Inputs = Some(Vec::new());
                for argument in node.op.arguments() {
                    all = all.zip(inputs[argument.0 as usize].as_ref()).map(|(all, more)| [&all[..], more].concat());
                }
                all.and_then(|mut all| {
                    all.sort_unstable();
                    all.dedup();
                    (all.len() <= MOST_INPUTS).then_some(all)
                })
            }
        });
    }
    inputs
}

/// `Distinct`, of a place still to be found, for what is costly, or computed from something costly.
fn first_choice(program: &Program, inputs: &[Inputs], needed: &[bool]) -> Vec<Domain> {
    let mut costly: Vec<bool> = Vec::with_capacity(needed.len());
    let mut domains = Vec::with_capacity(needed.len());
    for (index, node) in program.nodes().iter().enumerate() {
        let arguments = node.op.arguments();
        costly.push(is_costly(program, &node.op) || arguments.iter().any(|argument| costly[argument.0 as usize]));
        domains.push(match (&node.op, &inputs[index]) {
            _ if !needed[index] => Domain::None,
            (Op::Input(_) | Op::Literal(_), _) => Domain::None,
            (_, Some(inputs)) if inputs.is_empty() => Domain::Everywhere,
            (_, Some(_)) if costly[index] => Domain::Distinct(0),
            _ => Domain::Rows,
        });
    }
    domains
}

/// The place of the dictionary for these columns, which is made together with its parts if there is none.
fn dictionary_of(program: &Program, inputs: &[usize], dictionaries: &mut Vec<Distinct>) -> usize {
    if let Some(place) = dictionaries.iter().position(|dictionary| dictionary.inputs == inputs) {
        return place;
    }
    let is_text = |column: usize| {
        let mut nodes = program.nodes().iter();
        nodes.any(|node| node.data_type == DataType::Text && matches!(node.op, Op::Input(input) if input == column))
    };
    let key = match inputs {
        [column] if is_text(*column) => Key::Text(*column),
        [column] => Key::Date(*column),
        [rest @ .., last] => {
            Key::Pair([dictionary_of(program, rest, dictionaries), dictionary_of(program, &[*last], dictionaries)])
        }
        [] => unreachable!("what depends on nothing is computed everywhere"),
    };
    dictionaries.push(Distinct { key, inputs: inputs.to_vec(), nodes: Vec::new(), wanted: Vec::new() });
    dictionaries.len() - 1
}

/// The nodes of a domain, and all that these are computed from.
fn computed_in(program: &Program, of: &[Domain], place: usize) -> Vec<usize> {
    let mut computed: Vec<bool> = of.iter().map(|domain| *domain == Domain::Distinct(place)).collect();
    for index in (0..of.len()).rev() {
        if computed[index] {
            program.nodes()[index].op.arguments().iter().for_each(|argument| computed[argument.0 as usize] = true);
        }
    }
    let is_computed = |index: &usize| computed[*index] && of[*index] != Domain::None;
    (0..of.len()).filter(is_computed).collect()
}

/// The nodes of a domain that roots are, or that nodes elsewhere are computed from. A root that is a text column itself is
/// handed out encoded, since the codes are there.
fn wanted_of(program: &Program, roots: &[NodeId], of: &[Domain], place: usize, key: Key) -> Vec<NodeId> {
    let mut wanted: Vec<NodeId> = Vec::new();
    for (index, node) in program.nodes().iter().enumerate() {
        let id = NodeId(index as u32);
        let is_here = of[index] == Domain::Distinct(place);
        let is_key = matches!((&node.op, key), (Op::Input(column), Key::Text(text)) if *column == text);
        if roots.contains(&id) && (is_here || is_key) {
            wanted.push(id);
        }
        if !is_here {
            let of_here = |argument: &NodeId| of[argument.0 as usize] == Domain::Distinct(place);
            wanted.extend(node.op.arguments().into_iter().filter(of_here));
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Whether computing it takes longer than finding a value in a hash table and gathering the result.
fn is_costly(program: &Program, op: &Op) -> bool {
    match op {
        Op::Input(_) | Op::Literal(_) | Op::Case { .. } => false,
        Op::Lookup { key, .. } => program.data_type(*key).physical() == Physical::Text,
        Op::Call(function, arguments) => match function {
            Function::Cast | Function::TryCast => {
                matches!(program.data_type(arguments[0]), DataType::Text | DataType::Date)
            }
            Function::Concat
            | Function::ConcatSkippingNull
            | Function::DateTrunc(_)
            | Function::Extract(_)
            | Function::Length
            | Function::Like { .. }
            | Function::Lower
            | Function::RegexpExtract { .. }
            | Function::RegexpMatches { .. }
            | Function::RegexpReplace { .. }
            | Function::Replace
            | Function::StrPos
            | Function::Strftime { .. }
            | Function::Substr
            | Function::Trim(_)
            | Function::Upper => true,
            _ => false,
        },
    }
}
