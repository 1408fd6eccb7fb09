// Draws every picture from the specification beside it. The page's variables colour it, so that
// neither the theme nor the printer needs another drawing.
(function () {
  "use strict";
  const settings = {
    actions: false,
    defaultStyle: false,
    mode: "vega-lite",
    renderer: "svg",
    tooltip: { disableDefaultStyle: true },
  };
  const charts = Array.from(document.querySelectorAll(".canvas"));
  const drawn = charts.map(async function (chart) {
    try {
      const spec = JSON.parse(document.getElementById(chart.dataset.spec).textContent);
      return await window.vegaEmbed(chart, spec, settings);
    } catch (error) {
      chart.textContent = "This picture could not be drawn; its numbers stand below.";
      throw error;
    }
  });
  window.drawn = Promise.all(drawn).then(function () {
    document.documentElement.dataset.drawn = String(charts.length);
  });
})();
