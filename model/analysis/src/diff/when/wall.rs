//! Times as `date` and `ps` print them, by the clock on the wall.
use tapline_core::host::Moment;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAY: i64 = 86_400;

/// Seconds since 1970 by that clock: `Thu Feb 10 16:19:27 2022`, `Thu Feb 10 04:19:27 PM UTC 2022`.
pub(super) fn read(text: &str) -> Option<i64> {
    let (mut month, mut day, mut year, mut time, mut after_noon) = (None, None, None, None, None);
    for word in text.split_whitespace().take(16) {
        let word = word.trim_end_matches(',');
        if let Some(read) = of_day(word) {
            time = time.or(Some(read));
        } else if let Ok(number) = word.parse::<i64>() {
            match number {
                1..=31 => day = day.or(Some(number)),
                1970..=9999 => year = year.or(Some(number)),
                _ => {}
            }
        } else if let Some(read) = month_of(word) {
            month = month.or(Some(read));
        } else if matches!(word, "AM" | "PM") {
            after_noon = Some(word == "PM");
        }
    }
    let mut time = time?;
    if let Some(after_noon) = after_noon {
        time = time % (DAY / 2) + if after_noon { DAY / 2 } else { 0 };
    }
    Some(Moment::on_day(year?, month?, day?)?.epoch + time)
}

/// When a process was started, as `ps` tells it on a day: the earliest time and the latest. `now` is what
/// the clock showed. The forms are those of procps (`pr_stime`, `pr_bsdstart`, `pr_lstart`).
pub(super) fn started(text: &str, now: i64) -> Option<(i64, i64)> {
    if let Some(exact) = read(text) {
        return Some((exact, exact));
    }
    let today = now - now.rem_euclid(DAY);
    if let Some(time) = of_day(text) {
        let minute = if text.matches(':').count() == 1 { 59 } else { 0 };
        // `-f` prints the time of this day, `aux` that of the last 24 hours.
        let start = if today + time > now { today - DAY + time } else { today + time };
        return Some((start, start + minute));
    }
    // `Nov26`: in the last year.
    let day = text.get(3..)?.trim().parse::<i64>().ok()?;
    let month = month_of(text.get(..3)?)?;
    let (year, ..) = Moment::at(now).date();
    let of = |year: i64| Moment::on_day(year, month, day).map(|day| day.epoch);
    let start = of(year).filter(|start| *start <= now).or_else(|| of(year - 1))?;
    Some((start, start + DAY - 1))
}

/// Seconds of the day: `16:19`, `16:19:27`.
fn of_day(word: &str) -> Option<i64> {
    let mut parts = word.split(':').map(|part| part.parse::<i64>().ok().filter(|it| *it >= 0));
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        Some(seconds) => seconds?,
        None => 0,
    };
    let fits = hours < 24 && minutes < 60 && seconds < 61 && parts.next().is_none();
    fits.then_some(hours * 3600 + minutes * 60 + seconds)
}

fn month_of(word: &str) -> Option<i64> {
    let short = word.get(..3)?.to_ascii_lowercase();
    let at = MONTHS.iter().position(|month| *month == short)?;
    i64::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<String> {
        read(text).map(|seconds| Moment::at(seconds).to_the_second())
    }

    #[test]
    fn what_a_clock_shows_is_read() {
        let told = "2022-02-10 16:19:27".to_owned();
        for text in [
            "Thu Feb 10 16:19:27 2022",
            "Thu Feb 10 16:19:27 CET 2022",
            "Thu Feb 10 04:19:27 PM UTC 2022",
            "Thursday, 10 February 2022 16:19:27 UTC",
        ] {
            assert_eq!(at(text), Some(told.clone()), "{text}");
        }
        for text in
            ["", "Feb 10 2022", "16:19:27", "Thu Feb 31 16:19:27 2022", "Thu Feb 10 26:19:27 2022"]
        {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn the_start_of_a_process_is_of_the_time_before() {
        let now = read("Thu Feb 10 16:19:27 2022").unwrap_or_default();
        let span = |text: &str| {
            started(text, now).map(|(from, to)| [from, to].map(|it| Moment::at(it).to_the_second()))
        };
        let told = |from: &str, to: &str| Some([from.to_owned(), to.to_owned()]);
        assert_eq!(span("13:02"), told("2022-02-10 13:02:00", "2022-02-10 13:02:59"));
        assert_eq!(span("17:02"), told("2022-02-09 17:02:00", "2022-02-09 17:02:59"));
        assert_eq!(span("Nov26"), told("2021-11-26 00:00:00", "2021-11-26 23:59:59"));
        assert_eq!(span("Feb 3"), told("2022-02-03 00:00:00", "2022-02-03 23:59:59"));
        assert_eq!(
            span("Thu Feb 10 16:19:20 2022"),
            told("2022-02-10 16:19:20", "2022-02-10 16:19:20")
        );
        assert_eq!(span("2021"), None);
        assert_eq!(span("é12"), None);
    }
}
