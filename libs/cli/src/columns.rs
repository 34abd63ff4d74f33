//! Text in columns, aligned as Go's `text/tabwriter` aligns it with podman's settings.
//!
//! A cell ends with a tab; the text after a line's last tab belongs to no column. A column is a run of lines that all
//! have a cell at that place, so one wide table does not widen the next, and a column's width is that of its widest
//! cell and some padding, but never less than a minimum.

/// How wide a column is at least.
const MIN_WIDTH: usize = 12;
/// What stands between a cell and the next column.
const PADDING: usize = 2;

/// Aligns text whose cells end with tabs.
#[must_use]
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> =
        lines.iter().map(|cells| vec![0; cells.len().saturating_sub(1)]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        measure(&lines, &mut widths, column);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (index, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        push_line(&mut out, cells, widths);
    }
    out
}

/// Gives each run of lines that have this column the width of its widest cell.
fn measure(lines: &[Vec<&str>], widths: &mut [Vec<usize>], column: usize) {
    let mut start = 0;
    while start < lines.len() {
        let has_column = |line: &Vec<usize>| line.len() > column;
        let length = widths[start..].iter().take_while(|line| has_column(line)).count();
        if length == 0 {
            start += 1;
            continue;
        }
        let widest = lines[start..start + length].iter().map(|cells| cells[column].chars().count()).max();
        let width = (widest.unwrap_or(0) + PADDING).max(MIN_WIDTH);
        for line in &mut widths[start..start + length] {
            line[column] = width;
        }
        start += length;
    }
}

fn push_line(out: &mut String, cells: &[&str], widths: &[usize]) {
    for (index, cell) in cells.iter().enumerate() {
        out.push_str(cell);
        if let Some(width) = widths.get(index) {
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn cells_are_at_least_twelve_wide() {
        assert_eq!(align("A\tB\nlonger than twelve\tx\n"), "A                   B\nlonger than twelve  x\n");
        assert_eq!(align("A\tB\tC\n1\t2\t3\n"), "A           B           C\n1           2           3\n");
    }

    #[test]
    fn a_column_ends_where_a_line_lacks_it() {
        assert_eq!(align("aaaaaaaaaaaaaaa\tb\nplain\nc\td\n"), "aaaaaaaaaaaaaaa  b\nplain\nc           d\n");
    }
}
