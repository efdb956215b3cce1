package control

import (
	"context"
	"net/http"
	"net/url"
)

// Explainer looks for an app and says in sentences where it is and who knows it,
// or why it is not found.
type Explainer interface {
	Explain(ctx context.Context, appID string) (said []string, found bool)
}

// Explanation is the answer to GET /v1/names/{app}.
type Explanation struct {
	App   string   `json:"app"`
	Found bool     `json:"found"`
	Said  []string `json:"said"`
}

// names answers with what is known about finding an app. It may take as long as
// those who are asked take to answer.
func (s *Server) names(w http.ResponseWriter, r *http.Request) {
	e, ok := s.o.Mesh.(Explainer)
	if !ok {
		fail(w, &Error{Code: "not_found", What: "finding an app", Why: "this mesh finds none"})
		return
	}
	id := r.PathValue("app")
	said, found := e.Explain(r.Context(), id)
	s.answer(w, Explanation{App: id, Found: found, Said: said})
}

// Explain asks where an app is found and by whom, or why not.
func (c *Client) Explain(ctx context.Context, appID string) (Explanation, error) {
	var e Explanation
	err := c.get(ctx, "/v1/names/"+url.PathEscape(appID), nil, &e)
	return e, err
}
