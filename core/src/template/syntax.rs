//! Reads a template's syntax tree, without running it: finds what is wrong, and rewrites it where the engine's
//! operators know less than Python's.
//!
//! The engine's `+`, `-`, `%` and the like work on numbers and texts only, and its lists cannot be appended to.
//! Airflow's templates subtract time spans from dates, format with `'%02d' % n` and append to lists. So each such
//! operator and literal is wrapped in a call to a function of ours. The text stays on the same lines.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Macro, Stmt};
use minijinja::machinery::{Token, parse, tokenize};

use super::environment;
use super::error::TemplateError;

/// The function that an operator becomes: `a - b` is `__operator('-', a, b)`.
pub(super) const OPERATOR: &str = "__operator";
/// The function around a list literal.
pub(super) const LIST: &str = "__list";
/// The function around a dict literal.
pub(super) const DICT: &str = "__dict";

/// The largest template, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;

/// Checks a text without rendering it: syntax, and the names of filters and tests.
///
/// # Errors
/// The first thing wrong, with line and column.
pub fn check_syntax(text: &str) -> Result<(), TemplateError> {
    rewritten(text).map(drop)
}

/// The text that the engine is given.
pub(super) fn rewritten(text: &str) -> Result<String, TemplateError> {
    if text.len() > LARGEST {
        return Err(TemplateError::new(format!(
            "the template has {} bytes; at most {LARGEST} are allowed, so read the text from a file or a table",
            text.len()
        )));
    }
    let tree = parse(text, "template", minijinja::syntax::SyntaxConfig::default())
        .map_err(|error| TemplateError::from_engine(&error, text, true))?;
    let mut walk = Walk { text, operators: None, edits: Vec::new() };
    walk.statement(&tree)?;
    Ok(walk.apply())
}

struct Edit {
    start: usize,
    end: usize,
    by: String,
}

/// An operator or bracket in the text.
struct Mark {
    start: usize,
    end: usize,
    closes: bool,
}

struct Walk<'a> {
    text: &'a str,
    operators: Option<Vec<Mark>>,
    edits: Vec<Edit>,
}

impl<'a> Walk<'a> {
    fn statements(&mut self, all: &[Stmt<'a>]) -> Result<(), TemplateError> {
        all.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Stmt<'a>) -> Result<(), TemplateError> {
        match statement {
            Stmt::Template(s) => self.statements(&s.children),
            Stmt::EmitExpr(s) => self.expression(&s.expr),
            Stmt::ForLoop(s) => {
                self.expression(&s.iter)?;
                self.optional(s.filter_expr.as_ref())?;
                self.statements(&s.body)?;
                self.statements(&s.else_body)
            }
            Stmt::IfCond(s) => {
                self.expression(&s.expr)?;
                self.statements(&s.true_body)?;
                self.statements(&s.false_body)
            }
            Stmt::WithBlock(s) => {
                s.assignments.iter().try_for_each(|(_, value)| self.expression(value))?;
                self.statements(&s.body)
            }
            Stmt::Set(s) => self.expression(&s.expr),
            Stmt::SetBlock(s) => {
                self.optional(s.filter.as_ref())?;
                self.statements(&s.body)
            }
            Stmt::AutoEscape(s) => self.statements(&s.body),
            Stmt::FilterBlock(s) => {
                self.expression(&s.filter)?;
                self.statements(&s.body)
            }
            Stmt::Block(s) => self.statements(&s.body),
            Stmt::Macro(s) => self.macro_body(s),
            Stmt::CallBlock(s) => {
                self.arguments(&s.call.args)?;
                self.macro_body(&s.macro_decl)
            }
            Stmt::Do(s) => {
                self.expression(&s.call.expr)?;
                self.arguments(&s.call.args)
            }
            Stmt::Import(s) => Err(self.not_supported("import", s.span().start_offset)),
            Stmt::FromImport(s) => Err(self.not_supported("import", s.span().start_offset)),
            Stmt::Extends(s) => Err(self.not_supported("extends", s.span().start_offset)),
            Stmt::Include(s) => Err(self.not_supported("include", s.span().start_offset)),
            Stmt::EmitRaw(_) => Ok(()),
        }
    }

    fn macro_body(&mut self, declared: &Macro<'a>) -> Result<(), TemplateError> {
        declared.defaults.iter().try_for_each(|value| self.expression(value))?;
        self.statements(&declared.body)
    }

    fn optional(&mut self, expression: Option<&Expr<'a>>) -> Result<(), TemplateError> {
        expression.map_or(Ok(()), |e| self.expression(e))
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>]) -> Result<(), TemplateError> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(e) | CallArg::Kwarg(_, e) | CallArg::PosSplat(e) | CallArg::KwargSplat(e) => {
                self.expression(e)
            }
        })
    }

    fn expression(&mut self, expression: &Expr<'a>) -> Result<(), TemplateError> {
        match expression {
            Expr::Var(_) | Expr::Const(_) => Ok(()),
            Expr::Slice(e) => {
                self.expression(&e.expr)?;
                [&e.start, &e.stop, &e.step].into_iter().try_for_each(|part| self.optional(part.as_ref()))
            }
            Expr::UnaryOp(e) => self.expression(&e.expr),
            Expr::BinOp(e) => {
                let span = e.span();
                if let Some(name) = python_operator(e.op) {
                    self.wrap_operator(name, span.start_offset, e.left.span().end_offset, span.end_offset);
                }
                self.expression(&e.left)?;
                self.expression(&e.right)
            }
            Expr::Compare(e) => {
                self.expression(&e.expr)?;
                e.ops.iter().try_for_each(|op| self.expression(&op.expr))
            }
            Expr::IfExpr(e) => {
                self.expression(&e.test_expr)?;
                self.expression(&e.true_expr)?;
                self.optional(e.false_expr.as_ref())
            }
            Expr::Filter(e) => {
                self.known("filter", e.name, e.span().start_offset)?;
                self.optional(e.expr.as_ref())?;
                self.arguments(&e.args)
            }
            Expr::Test(e) => {
                self.known("test", e.name, e.span().start_offset)?;
                self.expression(&e.expr)?;
                self.arguments(&e.args)
            }
            Expr::GetAttr(e) => self.expression(&e.expr),
            Expr::GetItem(e) => {
                self.expression(&e.expr)?;
                self.expression(&e.subscript_expr)
            }
            Expr::Call(e) => {
                self.expression(&e.expr)?;
                self.arguments(&e.args)
            }
            Expr::List(e) => {
                self.wrap(LIST, e.span().start_offset, e.span().end_offset);
                e.items.iter().try_for_each(|item| self.expression(item))
            }
            Expr::Tuple(e) => e.items.iter().try_for_each(|item| self.expression(item)),
            Expr::Map(e) => {
                self.wrap(DICT, e.span().start_offset, e.span().end_offset);
                e.keys.iter().chain(&e.values).try_for_each(|part| self.expression(part))
            }
        }
    }

    fn wrap(&mut self, function: &str, start: u32, end: u32) {
        let (start, end) = (start as usize, end as usize);
        self.edits.push(Edit { start, end: start, by: format!("{function}(") });
        self.edits.push(Edit { start: end, end, by: ")".to_owned() });
    }

    /// Between the end of the left operand and the operator there is nothing but closing parentheses.
    fn wrap_operator(&mut self, name: &str, start: u32, left_end: u32, end: u32) {
        let text = self.text;
        let marks = self.operators.get_or_insert_with(|| marks_of(text));
        let first = marks.partition_point(|mark| mark.start < left_end as usize);
        let Some(mark) = marks[first..].iter().find(|mark| !mark.closes) else { return };
        let comma = Edit { start: mark.start, end: mark.end, by: ",".to_owned() };
        let (start, end) = (start as usize, end as usize);
        self.edits.push(Edit { start, end: start, by: format!("{OPERATOR}('{name}',") });
        self.edits.push(comma);
        self.edits.push(Edit { start: end, end, by: ")".to_owned() });
    }

    /// Jinja2 knows all filters and tests when it reads a template, so a wrong name is an error even where it is not
    /// reached.
    fn known(&self, what: &str, name: &str, offset: u32) -> Result<(), TemplateError> {
        let (known, all) = match what {
            "filter" => (environment::has_filter(name), environment::FILTERS),
            _ => (environment::has_test(name), environment::TESTS),
        };
        if known {
            return Ok(());
        }
        let hint = super::names::nearest(name, all.iter().copied());
        let hint = hint.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
        Err(self.located(offset, format!("there is no {what} named '{name}'{hint}")))
    }

    fn not_supported(&self, what: &str, offset: u32) -> TemplateError {
        self.located(offset, format!("'{what}' is not supported yet; write the text into the field"))
    }

    fn located(&self, offset: u32, message: String) -> TemplateError {
        let before = self.text.get(..offset as usize).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        TemplateError { line: u32::try_from(line).ok(), ..TemplateError::new(message) }
    }

    fn apply(mut self) -> String {
        // What is inserted at a place comes before what replaces text there; outer calls were noted first.
        self.edits.sort_by_key(|edit| (edit.start, edit.end > edit.start));
        let mut out = String::with_capacity(self.text.len() + 16 * self.edits.len());
        let mut done = 0;
        for edit in &self.edits {
            out.push_str(&self.text[done..edit.start]);
            out.push_str(&edit.by);
            done = edit.end;
        }
        out.push_str(&self.text[done..]);
        out
    }
}

const fn python_operator(op: BinOpKind) -> Option<&'static str> {
    Some(match op {
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        BinOpKind::Concat => "~",
        _ => return None,
    })
}

fn marks_of(text: &str) -> Vec<Mark> {
    let tokens = tokenize(text, false, minijinja::syntax::SyntaxConfig::default());
    let place = |(token, span): (Token<'_>, minijinja::machinery::Span)| {
        let closes = match token {
            Token::ParenClose => true,
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::FloorDiv | Token::Mod | Token::Tilde => false,
            _ => return None,
        };
        Some(Mark { start: span.start_offset as usize, end: span.end_offset as usize, closes })
    };
    tokens.flatten().filter_map(place).collect()
}
