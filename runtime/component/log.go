package component

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/dapr/kit/logger"
	redisv8 "github.com/go-redis/redis/v8"
	redisv9 "github.com/redis/go-redis/v9"
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

// RouteLibraryLogs sends what the client libraries of some components print by
// themselves to a logger. They know only one for the whole process, so this is
// for main, once, before the terminal belongs to a screen.
func RouteLibraryLogs(to *slog.Logger) {
	redisv8.SetLogger(printer{to})
	redisv9.SetLogger(printer{to})
}

// printer is a logger as the Redis clients want it. What they print comes again
// as the error of a call.
type printer struct{ to *slog.Logger }

func (p printer) Printf(ctx context.Context, format string, args ...any) {
	p.to.DebugContext(ctx, strings.TrimSpace(fmt.Sprintf(format, args...))) //nolint:sloglint // the library words its messages
}
