# What `moments_in()` says is checked by looking, with R's own means, what the clock shows at that moment.
zones <- c(
  "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca",
  "America/St_Johns", "Pacific/Kiritimati", "Etc/GMT+12", "UTC"
)

test_that("a moment shows the same clock in its zone, from 1880 to 2300", {
  clock <- as.numeric(seq(as.POSIXct("1880-01-01", tz = "UTC"), as.POSIXct("2300-01-01", tz = "UTC"), by = 86400 * 5 + 1789))
  text <- format(.POSIXct(clock, "UTC"), "%Y-%m-%d %H:%M:%S")
  for (zone in zones) {
    moments <- moments_in(clock, zone)
    there <- !is.na(moments)
    expect_identical(format(.POSIXct(moments[there], zone), "%Y-%m-%d %H:%M:%S"), text[there], info = zone)
    expect_lt(sum(!there), 20, label = zone)
  }
})

test_that("what a clock skipped is NA, and what it showed twice is the first time", {
  on <- function(zone, text) moments_in(as.numeric(as.POSIXct(text, tz = "UTC", format = "%Y-%m-%d %H:%M:%S")), zone)
  utc <- function(moments) format(.POSIXct(moments, "UTC"), "%Y-%m-%d %H:%M:%S")
  expect_identical(
    utc(on("Europe/Vienna", c("2024-03-31 01:59:59", "2024-03-31 02:00:00", "2024-03-31 02:59:59", "2024-03-31 03:00:00"))),
    c("2024-03-31 00:59:59", NA, NA, "2024-03-31 01:00:00")
  )
  expect_identical(
    utc(on("Europe/Vienna", c("2024-10-27 01:59:59", "2024-10-27 02:00:00", "2024-10-27 02:59:59", "2024-10-27 03:00:00"))),
    c("2024-10-26 23:59:59", "2024-10-27 00:00:00", "2024-10-27 00:59:59", "2024-10-27 02:00:00")
  )
  # A change of half an hour, and a day that was left out.
  expect_identical(utc(on("Australia/Lord_Howe", "2024-10-06 02:15:00")), NA_character_)
  expect_identical(is.na(on("Pacific/Apia", c("2011-12-29 12:00:00", "2011-12-30 12:00:00", "2011-12-31 12:00:00"))), c(FALSE, TRUE, FALSE))
  expect_identical(moments_in(numeric(), "Europe/Vienna"), numeric())
  expect_identical(moments_in(NA_real_, "Europe/Vienna"), NA_real_)
})

test_that("every time of a year of changes is a moment or was skipped, as R's own conversion says", {
  for (zone in zones[1:3]) {
    clock <- seq(1704067200, 1735689600, by = 900)
    moments <- moments_in(clock, zone)
    shown <- unique(offset_at(seq(1704067200 - 86400, 1735689600 + 86400, by = 900), zone) + seq(1704067200 - 86400, 1735689600 + 86400, by = 900))
    expect_identical(!is.na(moments), clock %in% shown, info = zone)
    expect_false(is.unsorted(moments[!is.na(moments)]), info = zone)
  }
})
