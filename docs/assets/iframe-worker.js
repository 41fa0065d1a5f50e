// A page that is opened from the disk may not start a worker, which the search needs.
// There, the worker's script runs in a hidden frame instead.
if (location.protocol === 'file:') {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement('iframe');
      frame.hidden = true;
      this.ready = new Promise((resolve) => {
        frame.onload = () => {
          const inner = frame.contentWindow;
          inner.postMessage = (data) =>
            this.dispatchEvent(new MessageEvent('message', { data }));
          const script = inner.document.createElement('script');
          script.src = url;
          script.onload = () => resolve(inner);
          inner.document.head.append(script);
        };
      });
      frame.srcdoc = '<!doctype html><html><head></head><body></body></html>';
      document.documentElement.append(frame);
    }
    postMessage(data) {
      this.ready.then((inner) =>
        inner.dispatchEvent(new inner.MessageEvent('message', { data }))
      );
    }
  };
}
