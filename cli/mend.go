package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mesh/supervisor/config"
)

// mend lets the user put a mesh.toml right that cannot be read: the editor shows
// a copy of it with its mistakes on top, and what is left of the copy without
// them becomes mesh.toml when the editor ends. A file without mistakes is edited
// itself, at a line and column. It gives a line that says what came of it.
//
// Nothing is written when the editor fails, or when mesh.toml has changed
// meanwhile. What the user has written is then kept, and the error says where.
func (e Env) mend(ctx context.Context, file string, line, column int, in io.Reader, out io.Writer) (said string, err error) {
	was, err := os.ReadFile(file)
	if err != nil {
		return "", e.edit(ctx, file, line, column, in, out) // the editor says why, or makes the file
	}
	_, err = config.Parse(file, was, config.Options{Environ: e.Environ})
	found, broken := errors.AsType[config.Errors](err)
	if !broken {
		return "", e.edit(ctx, file, line, column, in, out)
	}
	mark := markFor(was)
	block := mistakeBlock(found, file, mark, lineEnd(was))
	copied, err := copyToEdit(file, append([]byte(block), was...))
	if err != nil {
		return "", err
	}
	at := firstPlace(shifted(found, file, strings.Count(block, "\n")), file)
	failed := e.runEditor(ctx, filepath.Dir(file), copied, at.Line, at.Column, in, out)
	text, err := os.ReadFile(copied)
	if err != nil {
		return "", errors.Join(failed, fmt.Errorf("reading what was edited: %w", err))
	}
	text = withoutBlock(text, mark)
	name := filepath.Base(file)
	switch same := bytes.Equal(text, was); {
	case same && failed != nil:
		forget(copied)
		return "", fmt.Errorf("nothing was changed: %w", failed)
	case same:
		forget(copied)
		return "nothing was changed in the editor: " + name + " stays as it is", nil
	case failed == nil:
		failed = putBack(file, was, text)
	}
	if failed != nil {
		return "", fmt.Errorf("what you wrote is kept in %s: %w", e.short(copied), failed)
	}
	forget(copied)
	return name + " is what you wrote in the editor", nil
}

var errChanged = errors.New("the file itself has been changed meanwhile")

// putBack writes text to the file, which must still be what it was. Where the
// file is a link, it stays one.
func putBack(file string, was, text []byte) error {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return fmt.Errorf("finding the file: %w", err)
	}
	now, err := os.ReadFile(target)
	if err != nil {
		return fmt.Errorf("looking whether the file has changed: %w", err)
	}
	if !bytes.Equal(now, was) {
		return errChanged
	}
	if err := replaceFile(target, text); err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	return nil
}

// copyToEdit writes a copy of a file of the project for the editor. It has the
// name of the file, by which editors know what it is, in a folder of its own:
// two screens may edit at once, and what was kept is never written over.
func copyToEdit(file string, text []byte) (copied string, err error) {
	all := filepath.Join(filepath.Dir(file), ".mesh", "edit")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of the copy to edit: %w", err)
	}
	dir, err := os.MkdirTemp(all, "*")
	if err != nil {
		return "", fmt.Errorf("making the folder of the copy to edit: %w", err)
	}
	copied = filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		return "", fmt.Errorf("writing the copy to edit: %w", err)
	}
	return copied, nil
}

// forget removes a copy that is of no use any more. One that cannot be removed
// does no harm.
func forget(copied string) {
	dir := filepath.Dir(copied)
	_ = os.RemoveAll(dir)
	_ = os.Remove(filepath.Dir(dir)) // unless there are others
}

// markFor gives what the lines of a block begin with: "#!", or as many more "!"
// as it takes that no line of the text begins so, too.
func markFor(text []byte) string {
	mark := "#!"
	for bytes.HasPrefix(text, []byte(mark)) || bytes.Contains(text, []byte("\n"+mark)) {
		mark += "!"
	}
	return mark
}

// lineEnd gives the end of the lines of a text: editors show one kind.
func lineEnd(text []byte) string {
	if bytes.Contains(text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// mistakeBlock gives the comment that stands above a broken file in the editor.
// It names every mistake at its line as the editor counts, the block included.
func mistakeBlock(found config.Errors, file, mark, eol string) string {
	name := filepath.Base(file)
	draw := func(shift int) string {
		text := "what is wrong in " + name + ", line by line as they stand here:\n\n" +
			shifted(found, file, shift).From(filepath.Dir(file)).Error() +
			"\n\nThese lines that begin with " + mark + " are removed on save, when the editor ends."
		var b strings.Builder
		for line := range strings.SplitSeq(text, "\n") {
			b.WriteString(strings.TrimRight(mark+" "+line, " ") + eol)
		}
		return b.String()
	}
	return draw(strings.Count(draw(0), "\n"))
}

// shifted gives mistakes of a file that has got so many lines on top. Those of
// other files stay where they are.
func shifted(found config.Errors, file string, lines int) config.Errors {
	moved := make(config.Errors, len(found))
	for i, e := range found {
		here := *e
		if here.Place.File == file && here.Place.Line > 0 {
			here.Place.Line += lines
		}
		moved[i] = &here
	}
	return moved
}

// firstPlace gives the first place of a file at which there is a mistake; its
// line is 0 when all are elsewhere.
func firstPlace(found config.Errors, file string) (p config.Place) {
	for _, e := range found {
		if e.Place.File == file && e.Place.Line > 0 {
			return e.Place
		}
	}
	return p
}

// withoutBlock removes what is left of a block: the lines with its mark among the
// comments and empty lines that a text begins with. Lines that the user has put
// between stay, and so does whatever comes later.
func withoutBlock(text []byte, mark string) []byte {
	var kept []byte
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if bare := bytes.TrimSpace(line); len(bare) > 0 && bare[0] != '#' {
			break
		}
		if !bytes.HasPrefix(line, []byte(mark)) {
			kept = append(kept, text[:len(text)-len(rest)]...)
		}
		text = rest
	}
	return append(kept, text...)
}
