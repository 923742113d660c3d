//! What a template may contain: only what is bounded by the size of its data.
//!
//! Fuel bounds the number of instructions, not what one of them builds: sixty times `a = a ~ a` fill any
//! memory. So a template shows its data and makes choices, and nothing in it builds a larger value:
//! no assignment, no concatenation or arithmetic, no literal lists, no calls. What it prints goes
//! through a writer with a limit. Escaping cannot be switched off.

use minijinja::Value;
use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

use super::super::error;
use super::model::PART_SOURCE_BYTES;
use super::render::environment;
use crate::kernel::Result;

/// Blocks and expressions inside each other: the walk below and the engine both recurse.
const DEPTH: u32 = 32;

/// The filters that a template may use.
const FILTERS: [&str; 13] = [
    "upper",
    "lower",
    "title",
    "capitalize",
    "trim",
    "length",
    "count",
    "default",
    "d",
    "first",
    "last",
    "round",
    "items",
];

/// The tests that a template may use after `is`.
const TESTS: [&str; 15] = [
    "defined",
    "undefined",
    "none",
    "true",
    "false",
    "boolean",
    "number",
    "integer",
    "float",
    "string",
    "sequence",
    "mapping",
    "iterable",
    "odd",
    "even",
];

/// Checks one part of a template.
///
/// # Errors
/// `notifications.template_invalid` with the part, the line and the problem.
pub(super) fn check(part: &'static str, source: &str) -> Result<()> {
    if source.len() > PART_SOURCE_BYTES {
        return Err(error::template_invalid(part, None, "a part has at most 64 KiB"));
    }
    let broken = |problem: minijinja::Error| {
        let detail = problem.detail().unwrap_or_default();
        error::template_invalid(part, problem.line(), format!("{}: {detail}", problem.kind()))
    };
    let tree = parse(source, part, SyntaxConfig::default()).map_err(broken)?;
    statement(&tree, 0)
        .map_err(|refusal| error::template_invalid(part, Some(refusal.line as usize), refusal.problem))?;
    environment().template_from_named_str(part, source).map_err(broken)?;
    Ok(())
}

struct Refusal {
    line: u32,
    problem: String,
}

fn refuse<T>(span: Span, problem: impl Into<String>) -> std::result::Result<T, Refusal> {
    Err(Refusal { line: span.start_line.into(), problem: problem.into() })
}

type Verdict = std::result::Result<(), Refusal>;

fn statements(list: &[Stmt<'_>], depth: u32) -> Verdict {
    list.iter().try_for_each(|each| statement(each, depth))
}

fn statement(statement: &Stmt<'_>, depth: u32) -> Verdict {
    let deeper = depth + 1;
    match statement {
        Stmt::Template(node) => statements(&node.children, deeper),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::EmitExpr(node) => expression(&node.expr, deeper),
        Stmt::IfCond(node) if depth < DEPTH => {
            expression(&node.expr, deeper)?;
            statements(&node.true_body, deeper)?;
            statements(&node.false_body, deeper)
        }
        Stmt::ForLoop(node) if depth < DEPTH => {
            if node.recursive {
                return refuse(node.span(), "a loop may not be recursive");
            }
            target(&node.target)?;
            expression(&node.iter, deeper)?;
            node.filter_expr.iter().try_for_each(|filter| expression(filter, deeper))?;
            statements(&node.body, deeper)?;
            statements(&node.else_body, deeper)
        }
        Stmt::IfCond(node) => refuse(node.span(), "nested too deep: at most 32"),
        Stmt::ForLoop(node) => refuse(node.span(), "nested too deep: at most 32"),
        Stmt::WithBlock(node) => refuse(node.span(), "`with` is not available"),
        Stmt::Set(node) => refuse(node.span(), "`set` is not available"),
        Stmt::SetBlock(node) => refuse(node.span(), "`set` is not available"),
        Stmt::AutoEscape(node) => refuse(node.span(), "`autoescape` is not available"),
        Stmt::FilterBlock(node) => refuse(node.span(), "`filter` blocks are not available"),
        Stmt::Do(node) => refuse(node.span(), "`do` is not available"),
        #[allow(
            unreachable_patterns,
            reason = "more kinds exist when another crate switches on their features"
        )]
        _ => refuse(Span::default(), "this statement is not available"),
    }
}

/// A loop binds names, or a pair of names.
fn target(target: &Expr<'_>) -> Verdict {
    match target {
        Expr::Var(_) => Ok(()),
        Expr::Tuple(node) if node.items.iter().all(|item| matches!(item, Expr::Var(_))) => Ok(()),
        Expr::List(node) if node.items.iter().all(|item| matches!(item, Expr::Var(_))) => Ok(()),
        other => refuse(other.span(), "a loop binds names"),
    }
}

fn expression(node: &Expr<'_>, depth: u32) -> Verdict {
    if depth > DEPTH {
        return refuse(node.span(), "nested too deep: at most 32");
    }
    let deeper = depth + 1;
    match node {
        Expr::Var(_) => Ok(()),
        Expr::Const(node) => constant(&node.value, node.span()),
        Expr::UnaryOp(node) => expression(&node.expr, deeper),
        Expr::BinOp(node) => {
            operator(node.op, node.span())?;
            expression(&node.left, deeper)?;
            expression(&node.right, deeper)
        }
        Expr::Compare(node) => {
            expression(&node.expr, deeper)?;
            node.ops.iter().try_for_each(|operation| expression(&operation.expr, deeper))
        }
        Expr::IfExpr(node) => {
            expression(&node.test_expr, deeper)?;
            expression(&node.true_expr, deeper)?;
            node.false_expr.iter().try_for_each(|otherwise| expression(otherwise, deeper))
        }
        Expr::Filter(node) => {
            if !FILTERS.contains(&node.name) {
                return refuse(node.span(), format!("there is no filter `{}`", node.name));
            }
            node.expr.iter().try_for_each(|filtered| expression(filtered, deeper))?;
            arguments(&node.args, node.span(), deeper)
        }
        Expr::Test(node) => {
            if !TESTS.contains(&node.name) {
                return refuse(node.span(), format!("there is no test `{}`", node.name));
            }
            expression(&node.expr, deeper)?;
            arguments(&node.args, node.span(), deeper)
        }
        Expr::GetAttr(node) => expression(&node.expr, deeper),
        Expr::GetItem(node) => {
            expression(&node.expr, deeper)?;
            expression(&node.subscript_expr, deeper)
        }
        Expr::Slice(node) => refuse(node.span(), "slices are not available"),
        Expr::Call(node) => refuse(node.span(), "calls are not available"),
        Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {
            refuse(node.span(), "lists and maps come with the data; literal ones are not available")
        }
    }
}

fn constant(value: &Value, span: Span) -> Verdict {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::String => {
            Ok(())
        }
        _ => refuse(span, "lists and maps come with the data; literal ones are not available"),
    }
}

fn operator(kind: BinOpKind, span: Span) -> Verdict {
    use BinOpKind as Op;
    match kind {
        Op::Eq | Op::Ne | Op::Lt | Op::Lte | Op::Gt | Op::Gte | Op::In | Op::ScAnd | Op::ScOr => Ok(()),
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::FloorDiv | Op::Rem | Op::Pow | Op::Concat => {
            refuse(span, "a template shows data and does not compute: `~` and arithmetic are not available")
        }
    }
}

fn arguments(list: &[CallArg<'_>], span: Span, depth: u32) -> Verdict {
    list.iter().try_for_each(|argument| match argument {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) => expression(value, depth),
        _ => refuse(span, "splats are not available"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(source: &str) -> String {
        let error = check("text", source).unwrap_err();
        assert_eq!(error.code(), "notifications.template_invalid");
        error.context().find(|(name, _)| *name == "problem").unwrap().1.to_owned()
    }

    #[test]
    fn choices_loops_and_filters_are_accepted() {
        for source in [
            "Hello {{ name | default(\"there\") | title }}!",
            "{% for item in items if item.price > 3 %}{{ loop.index }}. {{ item['name'] }}\n{% else %}none{% endfor %}",
            "{% for key, value in facts | items %}{{ key }}={{ value }}{% endfor %}",
            "{% if a and not b or c in d %}x{% elif e is defined %}y{% else %}z{% endif %}",
            "{{ a if b else 'c' }} {# a comment #} {% raw %}{{ as it stands }}{% endraw %}",
        ] {
            check("text", source).unwrap();
        }
    }

    #[test]
    fn nothing_that_builds_a_larger_value_is_accepted() {
        for source in [
            "{% set a = b %}",
            "{% with a = b %}{% endwith %}",
            "{{ a ~ a }}",
            "{{ a + a }}",
            "{{ 'x' * 1000000 }}",
            "{% for a in [a, a] %}{% endfor %}",
            "{% for a in (a, a) %}{% endfor %}",
            "{{ {'a': 1} }}",
            "{{ range(10000) }}",
            "{{ a.items() }}",
            "{{ a | replace('x', 'yy') }}",
            "{{ a | join(a) }}",
            "{{ a[1:] }}",
            "{% for a in b recursive %}{% endfor %}",
            "{% set a %}{% endset %}",
            "{% filter upper %}{% endfilter %}",
        ] {
            assert!(!problem(source).is_empty(), "{source}");
        }
    }

    #[test]
    fn escaping_cannot_be_switched_off() {
        assert_eq!(problem("{{ a | safe }}"), "there is no filter `safe`");
        assert_eq!(problem("\n\n{% autoescape false %}{% endautoescape %}"), "`autoescape` is not available");
    }

    #[test]
    fn the_line_of_a_mistake_is_named() {
        let error = check("html", "one\ntwo {{ name ").unwrap_err();
        let context: Vec<_> = error.context().collect();
        assert!(context.contains(&("part", "html")) && context.contains(&("line", "2")), "{error}");
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = format!("{}{}", "{% if a %}".repeat(40), "{% endif %}".repeat(40));
        assert_eq!(problem(&nested), "nested too deep: at most 32");
        let nested = format!("{{{{ {}a{} }}}}", "(not ".repeat(40), ")".repeat(40));
        assert_eq!(problem(&nested), "nested too deep: at most 32");
        assert_eq!(problem(&"x".repeat(PART_SOURCE_BYTES + 1)), "a part has at most 64 KiB");
    }
}
