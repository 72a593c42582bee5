# Times of day, from what a clock on the wall showed to moments in time. The core knows no zones: it gives the clock's
# time as if it were UTC, and the zone's name as an attribute. Only R knows the zones of this machine.

# The columns of a data frame that wait for their zone, as moments; and, as problems, the times that no clock in the
# zone has shown.
to_zones <- function(data, record_id) {
  problems <- list()
  waits <- vapply(data, function(column) !is.null(attr(column, "keycap_tz")), NA)
  for (i in which(waits)) {
    clock <- unclass(data[[i]])
    zone <- attr(clock, "keycap_tz")
    attributes(clock) <- NULL
    moments <- moments_in(clock, zone)
    data[[i]] <- .POSIXct(moments, zone)
    skipped <- which(is.na(moments) & !is.na(clock))
    if (length(skipped) > 0L) {
      problems[[length(problems) + 1L]] <- data.frame(
        record = if (record_id %in% names(data)) as.character(data[[record_id]][skipped]) else NA_character_,
        field = names(data)[i],
        value = clock_text(clock[skipped], any(clock %% 60 != 0, na.rm = TRUE)),
        stringsAsFactors = FALSE
      )
    }
  }
  list(data = data, problems = do.call(rbind, problems))
}

# The moments at which the clock of a zone showed `clock` (seconds since 1970-01-01 00:00:00 on that clock). What it
# showed twice, when it was put back, is taken for the first time; what it never showed, when it was put forward, is
# `NA`. Zones are looked up once for each day that occurs, and for each time only on days near a change.
moments_in <- function(clock, zone) {
  day <- floor(clock / 86400)
  days <- unique(day[!is.na(day)])
  # From a day before to a day after, as no zone is farther from UTC than that.
  offsets <- vapply(-1:2, function(shift) offset_at((days + shift) * 86400, zone), numeric(length(days)))
  dim(offsets) <- c(length(days), 4L)
  steady <- rowSums(offsets != offsets[, 1]) == 0
  place <- match(day, days)
  moments <- clock - offsets[place, 1]
  near <- which(!steady[place])
  moments[near] <- moments_near_change(clock[near], zone)
  moments
}

moments_near_change <- function(clock, zone) {
  before <- clock - offset_at(clock - 86400, zone)
  after <- clock - offset_at(clock + 86400, zone)
  shows <- function(moments) ifelse(offset_at(moments, zone) == clock - moments, moments, NA_real_)
  pmin(shows(before), shows(after), na.rm = TRUE)
}

# How far the clock of a zone is ahead of UTC, in seconds.
offset_at <- function(moments, zone) {
  shown <- as.POSIXlt(.POSIXct(moments, zone), zone)
  unclass(as.Date(shown)) * 86400 + shown$hour * 3600 + shown$min * 60 + shown$sec - moments
}

# A time as REDCap writes it.
clock_text <- function(clock, seconds) {
  format(.POSIXct(clock, "UTC"), if (seconds) "%Y-%m-%d %H:%M:%S" else "%Y-%m-%d %H:%M")
}

# The name of a time zone. The list of them is this machine's, and read once.
check_zone <- function(x, argument, call) {
  x <- check_string(x, argument, call)
  # What could be a token is for the core to refuse.
  if (x != "UTC" && !looks_like_token(x)) {
    if (is.null(the$zones)) {
      the$zones <- OlsonNames()
    }
    if (!x %in% the$zones) {
      abort_argument(
        sprintf("`%s` must be the name of a time zone", argument), argument, call,
        "`OlsonNames()` lists them; \"Europe/Vienna\" is one"
      )
    }
  }
  x
}
