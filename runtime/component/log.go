package component

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/dapr/kit/logger"
)

// contribLog hands what a component says to a slog.Logger. What contrib calls
// information is detail to the user of a mesh.
type contribLog struct{ to *slog.Logger }

var _ logger.Logger = contribLog{}

func (l contribLog) put(level slog.Level, text string) {
	l.to.Log(context.Background(), level, strings.TrimSpace(text)) //nolint:sloglint // the component words its messages
}

func (l contribLog) Debug(args ...any) { l.put(slog.LevelDebug, fmt.Sprint(args...)) }

func (l contribLog) Debugf(format string, args ...any) {
	l.put(slog.LevelDebug, fmt.Sprintf(format, args...))
}

func (l contribLog) Info(args ...any) { l.put(slog.LevelDebug, fmt.Sprint(args...)) }

func (l contribLog) Infof(format string, args ...any) {
	l.put(slog.LevelDebug, fmt.Sprintf(format, args...))
}

func (l contribLog) Warn(args ...any) { l.put(slog.LevelWarn, fmt.Sprint(args...)) }

func (l contribLog) Warnf(format string, args ...any) {
	l.put(slog.LevelWarn, fmt.Sprintf(format, args...))
}

func (l contribLog) Error(args ...any) { l.put(slog.LevelError, fmt.Sprint(args...)) }

func (l contribLog) Errorf(format string, args ...any) {
	l.put(slog.LevelError, fmt.Sprintf(format, args...))
}

// Fatal does not end the process: one component must not take the mesh along.
func (l contribLog) Fatal(args ...any) { l.put(slog.LevelError, fmt.Sprint(args...)) }

// Fatalf is like Fatal.
func (l contribLog) Fatalf(format string, args ...any) {
	l.put(slog.LevelError, fmt.Sprintf(format, args...))
}

func (l contribLog) WithFields(fields map[string]any) logger.Logger {
	var attrs []any
	for k, v := range fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	return contribLog{to: l.to.With(attrs...)}
}

func (l contribLog) IsOutputLevelEnabled(level logger.LogLevel) bool {
	to := slog.LevelError
	switch level {
	case logger.DebugLevel, logger.InfoLevel, logger.UndefinedLevel:
		to = slog.LevelDebug
	case logger.WarnLevel:
		to = slog.LevelWarn
	case logger.ErrorLevel, logger.FatalLevel:
	}
	return l.to.Enabled(context.Background(), to)
}

func (l contribLog) WithLogType(string) logger.Logger { return l }
func (contribLog) EnableJSONOutput(bool)              {}
func (contribLog) SetAppID(string)                    {}
func (contribLog) SetOutputLevel(logger.LogLevel)     {}
func (contribLog) SetOutput(io.Writer)                {}
