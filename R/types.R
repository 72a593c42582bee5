#' How each REDCap field becomes a column
#'
#' @description
#' [export_records()] asks for the project's dictionary along with the records, and gives each column the type that
#' the dictionary says.
#'
#' | field in REDCap | column in R |
#' |---|---|
#' | record id, whatever its validation | text: `100000` is `"100000"`, `007` is `"007"` |
#' | text with the validation `integer`; slider | `integer` |
#' | text with the validation `number`, `number_2dp` and the like; calculated | `numeric` |
#' | the same with a decimal comma | `numeric` |
#' | text with a `date_` validation | `Date`, whatever its order on the screen |
#' | text with a `datetime_` validation; the time stamps of surveys | `POSIXct` in the zone `tz` |
#' | text with the validation `time` | text, such as `"08:30"` |
#' | yes/no, true/false | `logical` |
#' | checkbox | one `logical` column for each choice, `field___code` |
#' | radio, dropdown; the status of a form | `choices = "code"`: `integer` where all declared codes are whole numbers, else text |
#' | | `choices = "label"`: text |
#' | | `choices = "factor"`: `factor` with the labels as levels, in the dictionary's order |
#' | notes, other text, SQL, file, signature | text; a file is its name |
#' | descriptive | none |
#' | event, repeating instrument, Data Access Group | text |
#' | repeating instance | `integer` |
#'
#' With `types = FALSE` every column is text; `choices = "label"` and `"factor"` then give labels.
#'
#' @section Blank, and what does not fit:
#' A blank is `NA`, in texts too. Whatever the column's type cannot hold is `NA` as well, and stands in
#' [conversion_problems()] as it was sent: a missing-data code of the project's (such as `UNK`, or `-99` in a column of
#' numbers), a code that is no longer declared, `1e+05`, `1.5`, `007` or `+5` in a column of whole numbers,
#' 30 February, a number of more digits than a `numeric` keeps. In a column of numbers `180.0` is 180, as a number has no
#' trailing zeros. In a text column, everything fits.
#'
#' @section Texts:
#' Texts are UTF-8, with line breaks as they were sent: `\r\n` stays `\r\n`. Some servers send Latin-1 although they say
#' UTF-8: such bytes are read as Latin-1, with a warning. A NUL, which R cannot hold, makes the value a problem.
#'
#' @section Time zones:
#' REDCap's times are those of the server's clock, without a zone. `tz` says where that clock is, and the columns print
#' what it showed. In the hour that comes twice a year when clocks are put back, a time is taken for the earlier of the
#' two. A time that no clock has shown, in the hour that is skipped when they are put forward, does not fit. The default
#' `"UTC"` has no such hours: with it the columns hold the server's times, whatever zone they were.
#'
#' @section Factors:
#' Where two choices of a field share a label, their levels are the labels with the codes: `"other (8)"`, `"other (9)"`.
#'
#' @name keycap_types
#' @seealso [export_records()]
#' @examples
#' sandbox <- start_sandbox()
#' project <- setup_project("TEST", redcap_uri = sandbox$redcap_uri)
#' patients <- export_records(project, choices = "factor", tz = "Europe/Vienna")
#' vapply(patients, function(column) class(column)[1], "")
#' levels(patients$sex)
#' stop_sandbox(sandbox)
NULL
