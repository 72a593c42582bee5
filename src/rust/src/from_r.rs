//! R's values as the core's. What R can hold and the core has no word for is refused.

use extendr_api::prelude::*;
use keycap::{Column, Error, Kind, Result, Table, Value};

/// An R object as a value. A vector of length one is a scalar, any other length a list of scalars; `NA` is nothing.
pub(crate) fn value(object: &Robj) -> Result<Value> {
    match object.rtype() {
        Rtype::Null => Ok(Value::Nothing),
        Rtype::List if object.inherits("data.frame") => table(object),
        Rtype::List => list(object),
        _ => {
            let mut scalars = scalars(object)?;
            if scalars.len() == 1 {
                return Ok(scalars.remove(0));
            }
            Ok(Value::List(names(object, scalars.len())?.into_iter().zip(scalars).collect()))
        }
    }
}

/// The one text that an R object holds.
pub(crate) fn text(object: &Robj) -> Result<String> {
    match value(object)? {
        Value::Text(text) => Ok(text),
        _ => Err(Error::new(Kind::Internal, "one text was expected from R")),
    }
}

/// The one whole number that an R object holds.
pub(crate) fn whole(object: &Robj) -> Result<i32> {
    match object.as_integer_slice() {
        Some([number]) => Ok(*number),
        _ => Err(Error::new(Kind::Internal, "one whole number was expected from R")),
    }
}

fn list(object: &Robj) -> Result<Value> {
    let list = object.as_list().ok_or_else(|| unknown("an object that is no list"))?;
    let names = names(object, list.len())?;
    names
        .into_iter()
        .zip(list.values())
        .map(|(name, item)| Ok((name, value(&item)?)))
        .collect::<Result<_>>()
        .map(Value::List)
}

/// A data frame. Its columns are of one length, or R would not have made it.
fn table(object: &Robj) -> Result<Value> {
    let list = object.as_list().ok_or_else(|| unknown("an object that is no list"))?;
    let columns = names(object, list.len())?.into_iter().zip(list.values());
    let columns = columns.map(|(name, item)| Ok((name, column(&item)?))).collect::<Result<_>>()?;
    Ok(Value::Table(Table { columns }))
}

fn column(object: &Robj) -> Result<Column> {
    match object.rtype() {
        Rtype::Strings => {
            let texts = object.as_str_iter().ok_or_else(|| unknown("an object that is no character vector"))?;
            let texts = texts.map(|text| if text.is_na() { Ok(None) } else { checked(text).map(Some) });
            Ok(Column::text(texts.collect::<Result<Vec<_>>>()?))
        }
        Rtype::Logicals => {
            let flags = object.as_logical_slice().unwrap_or_default();
            Ok(Column::flag(flags.iter().map(|flag| (!flag.is_na()).then(|| flag.is_true()))))
        }
        Rtype::Integers if !object.is_factor() => {
            let numbers = object.as_integer_slice().unwrap_or_default();
            Ok(Column::int(numbers.iter().map(|n| (!n.is_na()).then_some(*n))))
        }
        Rtype::Doubles => {
            let numbers = object.as_real_slice().unwrap_or_default();
            Ok(Column::real(numbers.iter().map(|n| (!n.is_na()).then_some(*n))))
        }
        other => Err(unknown(&format!("a column of type `{other:?}`"))),
    }
}

fn names(object: &Robj, len: usize) -> Result<Vec<String>> {
    match object.names() {
        None => Ok(vec![String::new(); len]),
        Some(names) => names.map(|name| checked(name).map(str::to_owned)).collect(),
    }
}

fn scalars(object: &Robj) -> Result<Vec<Value>> {
    match object.rtype() {
        Rtype::Strings => {
            let texts = object.as_str_iter().ok_or_else(|| unknown("an object that is no character vector"))?;
            texts
                .map(|text| if text.is_na() { Ok(Value::Nothing) } else { Ok(Value::Text(checked(text)?.to_owned())) })
                .collect()
        }
        Rtype::Logicals => {
            let flags = object.as_logical_slice().unwrap_or_default();
            Ok(flags
                .iter()
                .map(|flag| if flag.is_na() { Value::Nothing } else { Value::Flag(flag.is_true()) })
                .collect())
        }
        // A factor is integers with labels: taken for numbers it would say something else than R shows.
        Rtype::Integers if !object.is_factor() => {
            let numbers = object.as_integer_slice().unwrap_or_default();
            Ok(numbers.iter().map(|n| if n.is_na() { Value::Nothing } else { Value::Whole((*n).into()) }).collect())
        }
        Rtype::Doubles => {
            let numbers = object.as_real_slice().unwrap_or_default();
            Ok(numbers.iter().map(|n| if n.is_na() { Value::Nothing } else { Value::Real(*n) }).collect())
        }
        other => Err(unknown(&format!("an object of type `{other:?}`"))),
    }
}

/// R marks texts as UTF-8 without checking them, and extendr believes the mark.
fn checked(text: &str) -> Result<&str> {
    std::str::from_utf8(std::hint::black_box(text.as_bytes())).map_err(|_| {
        Error::new(Kind::Argument, "a text is not valid UTF-8").hint("Convert it with `enc2utf8()` or `iconv()` first.")
    })
}

fn unknown(what: &str) -> Error {
    Error::new(Kind::Argument, format!("{what} has no meaning here"))
}
