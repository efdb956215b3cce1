package grid

import "unicode/utf8"

// Find looks for a text in what is seen of s, without regard to the case of
// ASCII letters.
func Find(s, text string) bool {
	for len(s) > 0 && text != "" {
		if s[0] == 0x1b {
			n, _ := escape(s)
			s = s[n:]
			continue
		}
		if _, ok := matchAt(s, text); ok {
			return true
		}
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
	return false
}

// Highlight gives s with every place where Find finds the text in reverse.
func Highlight(s, text string) string {
	if !Find(s, text) {
		return s
	}
	var out []byte
	for len(s) > 0 {
		n := 0
		if s[0] == 0x1b {
			n, _ = escape(s)
		} else if m, ok := matchAt(s, text); ok {
			out = append(append(append(out, "\x1b[7m"...), s[:m]...), "\x1b[27m"...)
			s = s[m:]
			continue
		} else {
			_, n = utf8.DecodeRuneInString(s)
		}
		out = append(out, s[:n]...)
		s = s[n:]
	}
	return string(out)
}

// matchAt says whether s begins with the text, escape sequences between its
// letters left aside, and how many bytes of s that takes.
func matchAt(s, text string) (n int, ok bool) {
	for i := 0; i < len(text); {
		if n == len(s) {
			return 0, false
		}
		if s[n] == 0x1b {
			skip, _ := escape(s[n:])
			n += skip
			continue
		}
		if lower(s[n]) != lower(text[i]) {
			return 0, false
		}
		n, i = n+1, i+1
	}
	return n, true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Safe gives s with nothing but colours and attributes left of its escape
// sequences, for writing to a terminal directly. It ends in the default style
// when it has changed it.
func Safe(s string) string {
	out, col, styled := make([]byte, 0, len(s)), 0, false
	for len(s) > 0 {
		n := 0
		if s[0] == 0x1b {
			var sgr bool
			if n, sgr = escape(s); sgr {
				out, styled = (Style{}).SGR(s[2:n-1]).append(out), true
			}
			s = s[n:]
			continue
		}
		_, n = next(s, col)
		plain := Plain(s[:n])
		out, col, s = append(out, plain...), col+Width(plain), s[n:]
	}
	if styled {
		out = append(out, "\x1b[m"...)
	}
	return string(out)
}

// Styled gives s, which must be plain, in a style.
func Styled(s string, st Style) string {
	return string(append(append(st.append(nil), s...), "\x1b[m"...))
}
