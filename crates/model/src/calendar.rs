//! The Gregorian calendar in UTC, before and after 1970.
//!
//! Owns: days and dates, each from the other; the English names of months and weekdays.
//! Does not own: how times are written and read (each format has its own rules).

/// English names of the months, January first.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// English names of the days of a week, Sunday first.
pub const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Days from 1 March of the year 0 to 1970-01-01. Years are counted from March here, so that the leap day comes last.
const MARCH_0: i64 = 719_468;

/// Year, month (1 to 12) and day (1 to 31), so many days after 1970-01-01.
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + MARCH_0;
    // 146 097 days are 400 years.
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date. A day that its month does not have is one of the next month.
pub fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - MARCH_0
}

/// Number of a day in its year, from 1.
pub fn day_of_year(days: i64) -> i64 {
    let (year, _, _) = date_of(days);
    days - days_before(year, 1, 1) + 1
}

/// Number of a day in its week, from 0 for Sunday. 1970-01-01 was a Thursday.
pub fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_are_each_found_from_the_other() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_779, (2026, 11, 22)),
            (-719_528, (0, 1, 1)),
        ] {
            assert_eq!(date_of(days), date);
            assert_eq!(days_before(date.0, date.1, date.2), days);
        }
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_before(year, month, day), days, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn days_are_counted_in_years_and_weeks() {
        assert_eq!((day_of_year(0), day_of_year(-1), day_of_year(20_779)), (1, 365, 326));
        let name = |days| WEEKDAYS[usize::try_from(weekday(days)).unwrap()];
        assert_eq!([name(0), name(-1), name(20_779)], ["Thursday", "Wednesday", "Sunday"]);
    }
}
