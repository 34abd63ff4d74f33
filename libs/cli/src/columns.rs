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
    let mut widths = Widths::of(text);
    for column in 0..widths.columns() {
        widths.widen(column);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        push_line(&mut out, line, widths.line(index));
    }
    out
}

/// The width of each cell that ends with a tab: its own letters at first, that of its column in the end.
///
/// One list for all lines, as a long table would take a page of memory for every few lines otherwise.
struct Widths {
    cells: Vec<usize>,
    /// Where the cells of each line end in it.
    ends: Vec<usize>,
}

impl Widths {
    fn of(text: &str) -> Self {
        let (mut cells, mut ends) = (Vec::new(), Vec::new());
        for line in text.split('\n') {
            let mut rest = line;
            while let Some((cell, after)) = rest.split_once('\t') {
                cells.push(cell.chars().count());
                rest = after;
            }
            ends.push(cells.len());
        }
        Self { cells, ends }
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    fn line(&self, line: usize) -> &[usize] {
        &self.cells[self.start(line)..self.ends[line]]
    }

    fn columns(&self) -> usize {
        (0..self.ends.len()).map(|line| self.line(line).len()).max().unwrap_or(0)
    }

    /// Gives each run of lines that have this column the width of its widest cell.
    fn widen(&mut self, column: usize) {
        let mut line = 0;
        while line < self.ends.len() {
            let run = (line..self.ends.len()).take_while(|line| self.line(*line).len() > column).count();
            let widest = (line..line + run).map(|line| self.line(line)[column]).max().unwrap_or(0);
            for line in line..line + run {
                let cell = self.start(line) + column;
                self.cells[cell] = (widest + PADDING).max(MIN_WIDTH);
            }
            line += run + 1;
        }
    }
}

fn push_line(out: &mut String, line: &str, widths: &[usize]) {
    let mut rest = line;
    for width in widths {
        let Some((cell, after)) = rest.split_once('\t') else { break };
        out.push_str(cell);
        out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        rest = after;
    }
    out.push_str(rest);
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
