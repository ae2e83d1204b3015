//! JOINs of a feed with a lookup: by which key, and which names they add. Two feeds are never joined.

use sqlparser::ast::{BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName};

use crate::chunk::{DataType, Field};
use crate::error::Result;
use crate::expr::bind::Scope;
use crate::expr::sql::SqlText;
use crate::expr::{NodeId, Op, Program};
use crate::plan::load::Context;
use crate::plan::select::{ONE_FEED, relation};

/// Adds the columns of a joined lookup to the scope. Returns the condition that an inner join puts on rows.
pub(super) fn resolve(
    context: &mut Context<'_>,
    text: &SqlText,
    program: &mut Program,
    scope: &mut Scope,
    join: &Join,
) -> Result<Option<NodeId>> {
    let (name, alias, span) = relation(text, &join.relation)?;
    let Some(lookup) = context.lookups.iter().position(|lookup| lookup.name.eq_ignore_ascii_case(&name)) else {
        let message = format!("`{name}` is no lookup; a feed can be joined with lookups only");
        return Err(text.error(span, message).help(ONE_FEED));
    };
    let (inner, constraint) = match &join.join_operator {
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (false, constraint),
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (true, constraint),
        _ => return Err(text.error(span, "this kind of join is not supported").help("LEFT JOIN and JOIN are")),
    };
    let data = &context.lookups[lookup].data;
    let field = &data.fields()[data.key()];
    let Some((key, using)) = key(constraint, &alias, &field.name) else {
        return Err(text
            .error(span, format!("the lookup `{name}` is found by its primary key `{}`", field.name))
            .help(format!("LEFT JOIN {name} USING ({0}), or ON feed_column = {alias}.{0}", field.name)));
    };
    let key = context.binder(program, scope, text).bind(&key)?;
    let data_type = program.data_type(key);
    let Field { name: key_name, data_type: key_type } = field;
    if data_type != *key_type {
        return Err(text
            .error(span, format!("the key `{key_name}` is {key_type}, what it is joined with is {data_type}"))
            .help(format!("declare both as {data_type}, or join ON CAST(... AS {key_type}) = {alias}.{key_name}")));
    }
    for (column, field) in data.fields().iter().enumerate() {
        let node = program.add(Op::Lookup { lookup, column: Some(column), key }, field.data_type);
        if using && column == data.key() {
            scope.add_hidden(&alias, &field.name, node);
        } else {
            scope.add(&alias, &field.name, node);
        }
    }
    Ok(inner.then(|| program.add(Op::Lookup { lookup, column: None, key }, DataType::Boolean)))
}

/// What the key of the lookup has to be equal to, and whether it is USING that says so.
fn key(constraint: &JoinConstraint, alias: &str, key_name: &str) -> Option<(Expr, bool)> {
    match constraint {
        JoinConstraint::Using(columns) => {
            let column = only_name(columns).filter(|column| column.value.eq_ignore_ascii_case(key_name))?;
            Some((Expr::Identifier(column.clone()), true))
        }
        JoinConstraint::On(Expr::BinaryOp { left, op: BinaryOperator::Eq, right }) => {
            let is_key = |expr: &Expr| {
                matches!(expr, Expr::CompoundIdentifier(parts) if matches!(parts.as_slice(), [relation, column]
                    if relation.value.eq_ignore_ascii_case(alias) && column.value.eq_ignore_ascii_case(key_name)))
            };
            match (is_key(left), is_key(right)) {
                (false, true) => Some((left.as_ref().clone(), false)),
                (true, false) => Some((right.as_ref().clone(), false)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn only_name(names: &[ObjectName]) -> Option<&Ident> {
    match names {
        [name] => match name.0.as_slice() {
            [part] => part.as_ident(),
            _ => None,
        },
        _ => None,
    }
}
