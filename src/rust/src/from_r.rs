//! R's values as the core's. What R can hold and the core has no word for is refused.

use std::collections::HashMap;

use extendr_api::prelude::*;
use keycap::{Column, Error, Kind, Result, Table, Texts, Value};

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
    let rows = rows(object);
    let columns = names(object, list.len())?.into_iter().zip(list.values()).enumerate();
    let columns = columns.map(|(n, (name, item))| match shaped(&item, rows).and_then(|()| column(&item)) {
        Ok(column) => Ok((name, column)),
        // By its number: a name could be anything, a token for one.
        Err(error) => Err(Error { message: format!("column {} of the data frame: {}", n + 1, error.message), ..error }),
    });
    Ok(Value::Table(Table { columns: columns.collect::<Result<_>>()? }))
}

/// The rows of a data frame.
fn rows(object: &Robj) -> Option<usize> {
    object.get_attrib("row.names").map(|names| names.len())
}

/// A column of a data frame may be a matrix, a list or another data frame: as a plain column it would lose all but its
/// first part. And a data frame that was put together by hand may have columns of any length.
fn shaped(item: &Robj, rows: Option<usize>) -> Result<()> {
    let plain = |what| {
        Err(unknown(what).hint("Give each of its parts a column of its own, as `do.call(data.frame, data)` does."))
    };
    if item.get_attrib("dim").is_some() {
        return plain("a column with `dim` (a matrix or an array)");
    }
    if item.rtype() == Rtype::List {
        return plain("a column that is a list or a data frame");
    }
    if rows != Some(item.len()) {
        let message = format!("it has {} values where the data frame has {} rows", item.len(), rows.unwrap_or(0));
        return Err(Error::new(Kind::Argument, message).hint("Make the data frame anew with `data.frame()`."));
    }
    Ok(())
}

/// A copy; there may be no memory for it.
fn copied<T: Copy>(cells: &[T]) -> Result<Vec<T>> {
    let mut all = Vec::new();
    all.try_reserve_exact(cells.len()).map_err(|_| Error::memory())?;
    all.extend_from_slice(cells);
    Ok(all)
}

fn column(object: &Robj) -> Result<Column> {
    match object.rtype() {
        Rtype::Strings => {
            let (ids, dictionary) = texts(object)?;
            Ok(Column::Text { ids, dictionary })
        }
        Rtype::Integers if object.is_factor() => {
            let levels = object.get_attrib("levels").ok_or_else(|| unknown("a factor without levels"))?;
            let levels = strings(&levels)?.map(checked).collect::<Result<Texts>>()?;
            let codes = copied(object.as_integer_slice().unwrap_or_default())?;
            // R shows nothing for such a code, and writes nothing that would tell of it.
            let known =
                |code: &i32| code.is_na() || usize::try_from(*code).is_ok_and(|n| (1..=levels.len()).contains(&n));
            if !codes.iter().all(known) {
                return Err(unknown("a factor with a code beyond its levels").hint("Make it anew with `factor()`."));
            }
            Ok(Column::Factor { codes, levels })
        }
        Rtype::Integers | Rtype::Doubles | Rtype::Logicals => numbers(object),
        other => Err(unknown(&format!("a column of type `{other:?}`"))),
    }
}

/// Classes that leave a number what it is.
const PLAIN: [&str; 7] = ["AsIs", "numeric", "integer", "double", "labelled", "haven_labelled", "vctrs_vctr"];

/// Numbers, and what R keeps as numbers. A class can say that they mean something else (seconds, minutes, 64 bits):
/// what is not known is refused.
fn numbers(object: &Robj) -> Result<Column> {
    let is = |class: &str| object.inherits(class);
    let reals = || {
        if let Some(cells) = object.as_real_slice() {
            return copied(cells);
        }
        let cells = object.as_integer_slice().unwrap_or_default().iter();
        Ok(cells.map(|n| if n.is_na() { Column::NO_REAL } else { f64::from(*n) }).collect())
    };
    if is("Date") {
        return Ok(Column::Date(reals()?));
    }
    // What the clock shows, as if it were UTC: R has moved the column.
    if is("POSIXct") {
        return Ok(Column::DateTime { seconds: reals()?, zone: "UTC".to_owned() });
    }
    let classes = object.class().map(|classes| classes.map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
    if let Some(other) = classes.iter().find(|class| !PLAIN.contains(&class.as_str())) {
        let shown: String = other.chars().filter(|c| c.is_ascii_alphanumeric() || "._".contains(*c)).take(30).collect();
        return Err(unknown(&format!("a column of class `{shown}`"))
            .hint("Make it numbers with `as.numeric()` or texts with `format()`, whichever the field takes."));
    }
    Ok(match object.rtype() {
        Rtype::Logicals => {
            let flags = object.as_logical_slice().unwrap_or_default();
            Column::flag(flags.iter().map(|flag| (!flag.is_na()).then(|| flag.is_true())))
        }
        // R's mark for a missing number is the core's.
        Rtype::Integers => Column::Int(copied(object.as_integer_slice().unwrap_or_default())?),
        _ => Column::Real(copied(object.as_real_slice().unwrap_or_default())?),
    })
}

/// The cells of a character vector, each distinct text once: R keeps equal texts in one place, so that the place tells
/// them apart.
fn texts(object: &Robj) -> Result<(Vec<u32>, Texts)> {
    let mut known: HashMap<*const u8, u32> = HashMap::new();
    let mut dictionary = Texts::default();
    let mut ids = Vec::new();
    ids.try_reserve_exact(object.len()).map_err(|_| Error::memory())?;
    for text in strings(object)? {
        ids.push(if text.is_na() {
            Column::MISSING
        } else if let Some(id) = known.get(&text.as_ptr()) {
            *id
        } else {
            let id = dictionary.try_push(checked(text)?).map_err(|_| Error::memory())?;
            known.try_reserve(1).map_err(|_| Error::memory())?;
            known.insert(text.as_ptr(), id);
            id
        });
    }
    Ok((ids, dictionary))
}

fn strings(object: &Robj) -> Result<impl Iterator<Item = &'static str>> {
    object.as_str_iter().ok_or_else(|| unknown("an object that is no character vector"))
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
