//! Where each node of a program is computed: for every row, or once for each distinct value of a text column. Decided
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
    /// Once for each distinct value of the text column of that place in the input.
    Distinct(usize),
}

/// The domains of all nodes, and the nodes that cross them.
#[derive(Debug)]
pub(super) struct Domains {
    /// The domain of each node.
    pub(super) of: Vec<Domain>,
    /// The text columns for which there are nodes, each with the nodes that are wanted outside of its domain.
    pub(super) columns: Vec<(usize, Vec<NodeId>)>,
    /// The nodes of `Distinct` domains that a node of `Rows` needs.
    pub(super) gathered: Vec<bool>,
}

/// Which inputs a node depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inputs {
    None,
    One(usize),
    Many,
}

impl Domains {
    pub(super) fn new(program: &Program, roots: &[NodeId]) -> Self {
        let mut of = first_choice(program, &needed(program, roots));
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
        let mut gathered = vec![false; of.len()];
        for index in (0..of.len()).filter(|index| of[*index] == Domain::Rows) {
            for argument in program.nodes()[index].op.arguments() {
                gathered[argument.0 as usize] |= matches!(of[argument.0 as usize], Domain::Distinct(_));
            }
        }
        let columns = columns(program, roots, &of, &gathered);
        Domains { of, columns, gathered }
    }

    /// Every node for every row.
    pub(super) fn rows_only(program: &Program, roots: &[NodeId]) -> Self {
        let computed = |(needed, op): (bool, &Op)| match op {
            Op::Lookup { .. } | Op::Call(..) | Op::Case { .. } if needed => Domain::Rows,
            _ => Domain::None,
        };
        let ops = program.nodes().iter().map(|node| &node.op);
        let of: Vec<Domain> = needed(program, roots).into_iter().zip(ops).map(computed).collect();
        let gathered = vec![false; of.len()];
        Domains { of, columns: Vec::new(), gathered }
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

/// `Distinct` for what depends on one text column and is costly, or computed from something costly.
fn first_choice(program: &Program, needed: &[bool]) -> Vec<Domain> {
    let mut inputs: Vec<Inputs> = Vec::with_capacity(needed.len());
    let mut costly: Vec<bool> = Vec::with_capacity(needed.len());
    let mut domains = Vec::with_capacity(needed.len());
    for (index, node) in program.nodes().iter().enumerate() {
        let arguments = node.op.arguments();
        let depends = match node.op {
            Op::Input(column) if node.data_type == DataType::Text => Inputs::One(column),
            Op::Input(_) => Inputs::Many,
            _ => arguments.iter().fold(Inputs::None, |all, argument| all.and(inputs[argument.0 as usize])),
        };
        inputs.push(depends);
        costly.push(is_costly(program, &node.op) || arguments.iter().any(|argument| costly[argument.0 as usize]));
        domains.push(match (&node.op, depends) {
            _ if !needed[index] => Domain::None,
            (Op::Input(_) | Op::Literal(_), _) => Domain::None,
            (_, Inputs::None) => Domain::Everywhere,
            (_, Inputs::One(column)) if costly[index] => Domain::Distinct(column),
            _ => Domain::Rows,
        });
    }
    domains
}

fn columns(program: &Program, roots: &[NodeId], of: &[Domain], gathered: &[bool]) -> Vec<(usize, Vec<NodeId>)> {
    let mut columns: Vec<(usize, Vec<NodeId>)> = Vec::new();
    for domain in of {
        if let Domain::Distinct(column) = domain
            && !columns.iter().any(|(known, _)| known == column)
        {
            columns.push((*column, Vec::new()));
        }
    }
    for (index, node) in program.nodes().iter().enumerate() {
        let id = NodeId(index as u32);
        // A root that is the column itself is handed out encoded, since the codes are there.
        let column = match (of[index], &node.op) {
            (Domain::Distinct(column), _) => column,
            (_, Op::Input(column)) => *column,
            _ => continue,
        };
        if (gathered[index] || roots.contains(&id))
            && let Some((_, wanted)) = columns.iter_mut().find(|(known, _)| *known == column)
        {
            wanted.push(id);
        }
    }
    columns
}

/// Whether computing it takes longer than finding a text in a hash table and gathering the result.
fn is_costly(program: &Program, op: &Op) -> bool {
    match op {
        Op::Input(_) | Op::Literal(_) | Op::Case { .. } => false,
        Op::Lookup { key, .. } => program.data_type(*key).physical() == Physical::Text,
        Op::Call(function, arguments) => match function {
            Function::Cast | Function::TryCast => program.data_type(arguments[0]) == DataType::Text,
            Function::Concat
            | Function::ConcatSkippingNull
            | Function::Lower
            | Function::Upper
            | Function::Trim(_)
            | Function::Replace
            | Function::Substr
            | Function::Length
            | Function::StrPos
            | Function::Like { .. }
            | Function::RegexpExtract { .. }
            | Function::RegexpReplace { .. }
            | Function::RegexpMatches { .. } => true,
            _ => false,
        },
    }
}

impl Inputs {
    fn and(self, other: Inputs) -> Inputs {
        match (self, other) {
            (Inputs::None, inputs) | (inputs, Inputs::None) => inputs,
            (Inputs::One(a), Inputs::One(b)) if a == b => self,
            _ => Inputs::Many,
        }
    }
}
