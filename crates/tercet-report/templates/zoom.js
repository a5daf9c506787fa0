// A click or Enter on a picture shows it large.
{
  const box = document.createElement("dialog");
  box.className = "enlarged";
  const [large, form, text, close] = ["img", "form", "p", "button"].map((name) => document.createElement(name));
  form.method = "dialog";
  close.textContent = "Close";
  form.append(text, close);
  box.append(large, form);
  document.body.append(box);
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  for (const picture of document.querySelectorAll(".strip img")) {
    picture.tabIndex = 0;
    picture.setAttribute("role", "button");
    const show = () => {
      large.src = picture.src;
      large.alt = picture.alt;
      large.className = picture.className;
      const id = document.createElement("span");
      id.textContent = picture.dataset.id;
      text.replaceChildren(picture.dataset.title, id);
      box.showModal();
    };
    picture.addEventListener("click", show);
    picture.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      show();
    });
  }
}
