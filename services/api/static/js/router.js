// Which view is shown: #/view/camera?filters. The address can be kept, sent and gone back to.

const VIEWS = ["live", "cameras", "events", "insights", "zones", "health"];

/** Emits "route" {view, camera, filters} when the address changes. */
export class Router extends EventTarget {
  current = { view: "live", camera: null, filters: new URLSearchParams() };

  constructor() {
    super();
    window.addEventListener("hashchange", () => this.#read());
  }

  start() {
    this.#read();
  }

  /** Show a view. `replace`: without a step to go back to. */
  go(view, camera = null, filters = null, { replace = false } = {}) {
    const address = href(view, camera, filters);
    if (address === location.hash) return;
    if (replace) {
      history.replaceState(null, "", address);
      this.#read();
    } else {
      location.hash = address;
    }
  }

  #read() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const [first, second] = path.split("/").map(decodeURIComponent);
    const known = VIEWS.includes(first);
    // Addresses of former versions were the camera alone.
    this.current = {
      view: known ? first : "live",
      camera: (known ? second : first) || null,
      filters: new URLSearchParams(query),
    };
    this.dispatchEvent(new CustomEvent("route", { detail: this.current }));
  }
}

export function href(view, camera = null, filters = null) {
  const query = filters ? String(filters) : "";
  return `#/${view}${camera ? `/${encodeURIComponent(camera)}` : ""}${query ? `?${query}` : ""}`;
}
