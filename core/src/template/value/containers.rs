//! Lists and dicts that can be changed in place, and sets.
//!
//! A container never contains itself: what is put into one is searched for it first. So every walk over values ends.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::text::python_repr;
use super::{DEEPEST, refused, split_arguments};

thread_local! {
    /// Values whose containers are gone and that are yet to be dropped. Dropping a deep value by recursion could
    /// overflow the stack.
    static TO_DROP: RefCell<Option<Vec<Value>>> = const { RefCell::new(None) };
    static COMPARISONS: RefCell<Comparisons> = const { RefCell::new(Comparisons { depth: 0, made: 0 }) };
}

/// How far the comparison that is going on has come.
struct Comparisons {
    depth: usize,
    made: usize,
}

/// How many containers one comparison may look into.
const MOST_COMPARISONS: usize = 100_000;

fn drop_flat(values: impl IntoIterator<Item = Value>) {
    let first = TO_DROP.with_borrow_mut(|queue| {
        let first = queue.is_none();
        queue.get_or_insert_default().extend(values);
        first
    });
    if first {
        while let Some(value) = TO_DROP.with_borrow_mut(|queue| queue.as_mut().and_then(Vec::pop)) {
            drop(value);
        }
        TO_DROP.set(None);
    }
}

/// Compares items in order; two values that are too deep or too big to be compared are different.
fn compare(left: &[Value], right: &[Value]) -> Ordering {
    let possible = COMPARISONS.with_borrow_mut(|going| {
        going.made = if going.depth == 0 { 0 } else { going.made + 1 };
        going.depth += 1;
        going.depth <= DEEPEST && going.made <= MOST_COMPARISONS
    });
    let order = if possible { left.cmp(right) } else { Ordering::Less };
    COMPARISONS.with_borrow_mut(|going| going.depth -= 1);
    order
}

/// Whether `value` is, or holds somewhere, the container at this address.
fn holds(value: &Value, address: usize, seen: &mut HashSet<usize>) -> bool {
    let mut todo = vec![value.clone()];
    while let Some(value) = todo.pop() {
        let here = if let Some(list) = value.downcast_object::<List>() {
            Arc::as_ptr(&list) as usize
        } else if let Some(dict) = value.downcast_object::<Dict>() {
            Arc::as_ptr(&dict) as usize
        } else {
            0
        };
        if here == address {
            return true;
        }
        if here != 0 && !seen.insert(here) {
            continue;
        }
        match value.kind() {
            ValueKind::Seq => todo.extend(value.try_iter().into_iter().flatten()),
            ValueKind::Map => {
                let keys = value.try_iter().into_iter().flatten();
                todo.extend(keys.filter_map(|key| value.get_item(&key).ok()));
            }
            _ => {}
        }
    }
    false
}

fn check_new_items(items: &[Value], address: usize) -> Result<(), Error> {
    let mut seen = HashSet::new();
    if items.iter().any(|item| holds(item, address, &mut seen)) {
        return Err(refused("a list or dict cannot be put into itself"));
    }
    Ok(())
}

/// Python's `list`.
#[derive(Default)]
pub(in crate::template) struct List {
    items: Mutex<Vec<Value>>,
}

impl List {
    pub(in crate::template) fn value(items: Vec<Value>) -> Value {
        Value::from_object(Self { items: Mutex::new(items) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Value>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Vec<Value> {
        self.lock().clone()
    }

    fn insert(self: &Arc<Self>, state: &State<'_, '_>, at: Option<i64>, new: Vec<Value>) -> Result<Value, Error> {
        check_new_items(&new, Arc::as_ptr(self) as usize)?;
        state.consume_fuel(new.len() as u64 + 1)?;
        let mut items = self.lock();
        let end = items.len();
        let at = at.map_or(end, |at| if at < 0 { end.saturating_sub(index(-at)) } else { index(at).min(end) });
        items.splice(at..at, new);
        Ok(Value::from(()))
    }

    fn pop(&self, at: i64) -> Result<Value, Error> {
        let mut items = self.lock();
        let len = items.len();
        let at = if at < 0 { len.checked_sub(index(-at)) } else { Some(index(at)) };
        match at.filter(|&at| at < len) {
            Some(at) => Ok(items.remove(at)),
            None => Err(refused("pop from an empty list or beyond its end")),
        }
    }

    fn position(&self, wanted: &Value) -> Result<usize, Error> {
        let found = self.snapshot().iter().position(|item| item == wanted);
        found.ok_or_else(|| refused("the value is not in the list"))
    }
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Drop for List {
    fn drop(&mut self) {
        drop_flat(self.items.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..));
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("list")
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lock().get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.snapshot())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.lock().len())
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?.snapshot();
        Some(compare(&self.snapshot(), &other))
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "append" => {
                let (item,): (Value,) = from_args(arguments)?;
                self.insert(state, None, vec![item])
            }
            "extend" => {
                let (items,): (Value,) = from_args(arguments)?;
                self.insert(state, None, items.try_iter()?.checked().collect::<Result<_, _>>()?)
            }
            "insert" => {
                let (at, item): (i64, Value) = from_args(arguments)?;
                self.insert(state, Some(at), vec![item])
            }
            "pop" => {
                let (at,): (Option<i64>,) = from_args(arguments)?;
                self.pop(at.unwrap_or(-1))
            }
            "remove" => {
                let (item,): (Value,) = from_args(arguments)?;
                let at = self.position(&item)?;
                self.pop(i64::try_from(at).unwrap_or(i64::MAX)).map(|_| Value::from(()))
            }
            "index" => {
                let (item,): (Value,) = from_args(arguments)?;
                self.position(&item).map(Value::from)
            }
            "reverse" => {
                let () = from_args(arguments)?;
                self.lock().reverse();
                Ok(Value::from(()))
            }
            "sort" => {
                let (_, named) = split_arguments(arguments)?;
                let reverse = named.get::<Option<bool>>("reverse")?.unwrap_or(false);
                named.assert_all_used()?;
                let mut items = self.snapshot();
                state.consume_fuel(items.len() as u64 * 8)?;
                items.sort();
                if reverse {
                    items.reverse();
                }
                *self.lock() = items;
                Ok(Value::from(()))
            }
            "clear" => {
                let () = from_args(arguments)?;
                drop_flat(std::mem::take(&mut *self.lock()));
                Ok(Value::from(()))
            }
            "copy" => {
                let () = from_args(arguments)?;
                Ok(Self::value(self.snapshot()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&Value::from_dyn_object(self.clone()), f)
    }
}

fn show(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&python_repr(value).unwrap_or_else(|_| "...".to_owned()))
}

/// Python's `dict`.
#[derive(Default)]
pub(in crate::template) struct Dict {
    items: Mutex<IndexMap<Value, Value>>,
}

impl Dict {
    pub(in crate::template) fn value(items: impl IntoIterator<Item = (Value, Value)>) -> Value {
        Value::from_object(Self { items: Mutex::new(items.into_iter().collect()) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, IndexMap<Value, Value>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> Vec<Value> {
        self.lock().keys().cloned().collect()
    }

    fn snapshot(&self) -> IndexMap<Value, Value> {
        self.lock().clone()
    }

    fn put(self: &Arc<Self>, state: &State<'_, '_>, new: Vec<(Value, Value)>) -> Result<(), Error> {
        let values: Vec<_> = new.iter().map(|(_, value)| value.clone()).collect();
        check_new_items(&values, Arc::as_ptr(self) as usize)?;
        state.consume_fuel(new.len() as u64 + 1)?;
        if let Some((key, _)) = new.iter().find(|(key, _)| matches!(key.kind(), ValueKind::Seq | ValueKind::Map))
            && !key.is_tuple()
        {
            return Err(refused("a list or dict cannot be the key of a dict"));
        }
        self.lock().extend(new);
        Ok(())
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        let items = std::mem::take(self.items.get_mut().unwrap_or_else(PoisonError::into_inner));
        drop_flat(items.into_values());
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dict")
    }
}

/// The pairs of a mapping, or of a list of pairs.
pub(super) fn pairs_of(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let items = value.try_iter()?.checked();
    if value.kind() == ValueKind::Map {
        return items.map(|key| key.and_then(|key| value.get_item(&key).map(|item| (key, item)))).collect();
    }
    items
        .map(|pair| {
            let pair = pair?;
            Ok((pair.get_item(&Value::from(0))?, pair.get_item(&Value::from(1))?))
        })
        .collect()
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.lock().get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.keys())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.lock().len())
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let (mut left, mut right) = (self.snapshot(), other.downcast_ref::<Self>()?.snapshot());
        left.sort_unstable_keys();
        right.sort_unstable_keys();
        let keys = left.keys().cmp(right.keys());
        Some(keys.then_with(|| {
            let (left, right): (Vec<_>, Vec<_>) = (left.into_values().collect(), right.into_values().collect());
            compare(&left, &right)
        }))
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let none = || Value::from(());
        match method {
            "get" => {
                let (key, default): (Value, Option<Value>) = from_args(arguments)?;
                Ok(self.get_value(&key).or(default).unwrap_or_else(none))
            }
            "keys" => from_args(arguments).map(|()| List::value(self.keys())),
            "values" => from_args(arguments).map(|()| List::value(self.snapshot().into_values().collect())),
            "items" => {
                let () = from_args(arguments)?;
                let pair = |(key, value)| Value::from(Tuple::from([key, value]));
                Ok(List::value(self.snapshot().into_iter().map(pair).collect()))
            }
            "update" => {
                let (plain, named) = split_arguments(arguments)?;
                let mut new = plain.iter().map(pairs_of).collect::<Result<Vec<_>, _>>()?.concat();
                for name in named.args().map(str::to_owned).collect::<Vec<_>>() {
                    new.push((Value::from(name.as_str()), named.get(&name)?));
                }
                self.put(state, new).map(|()| none())
            }
            "setdefault" => {
                let (key, default): (Value, Option<Value>) = from_args(arguments)?;
                if let Some(found) = self.get_value(&key) {
                    return Ok(found);
                }
                let value = default.unwrap_or_else(none);
                self.put(state, vec![(key, value.clone())])?;
                Ok(value)
            }
            "pop" => {
                let (key, default): (Value, Option<Value>) = from_args(arguments)?;
                let popped = self.lock().shift_remove(&key);
                popped.or(default).ok_or_else(|| refused(format!("the dict has no key '{key}'")))
            }
            "copy" => from_args(arguments).map(|()| Self::value(self.snapshot())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&Value::from_dyn_object(self.clone()), f)
    }
}

/// Python's `set`, for looking at only.
#[derive(Debug)]
pub(in crate::template) struct Set {
    items: Vec<Value>,
}

impl Set {
    pub(in crate::template) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
        Value::from_object(Self { items: texts.map(Value::from).collect() })
    }
}

impl Object for Set {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&Value::from_dyn_object(self.clone()), f)
    }
}
